//! The lines of a file's metadata that say what a stream hands from a frame to the next.

/// More values in one tensor are a file that is damaged, or means harm.
const MOST_VALUES: f64 = 100_000_000.0;

/// The types that a tensor of the state may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Float32,
    Float64,
    Int64,
}

impl Kind {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Kind::Float32 => 4,
            Kind::Float64 | Kind::Int64 => 8,
        }
    }
}

/// A tensor of a graph's input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    pub kind: Kind,
    pub shape: Vec<i64>,
}

impl Tensor {
    /// Elements; shapes were checked to be positive.
    pub fn n_values(&self) -> usize {
        self.shape.iter().map(|&size| size as usize).product()
    }
}

/// One tensor of the state: the input that takes it, the output that gives the next, its value before the first frame.
#[derive(Clone, Debug, PartialEq)]
pub struct StateTensor {
    pub input: Tensor,
    pub output: Tensor,
    pub fill: f64,
}

impl StateTensor {
    /// Reads `state_a next_a float32 0 1x1x480`; a tensor without dimensions is `scalar`.
    pub fn parse(line: &str) -> Option<Self> {
        let parts: Vec<&str> = line.split(' ').collect();
        let [name, next_name, kind, fill, size] = parts.as_slice() else { return None };
        let kind = match *kind {
            "float32" => Kind::Float32,
            "float64" => Kind::Float64,
            "int64" => Kind::Int64,
            _ => return None,
        };
        let shape: Vec<i64> = match *size {
            "scalar" => Vec::new(),
            size => size.split('x').map(|part| part.parse().ok()).collect::<Option<_>>()?,
        };
        let n_values: f64 = shape.iter().map(|&size| size as f64).product();
        if shape.iter().any(|&size| size < 1) || n_values > MOST_VALUES {
            return None;
        }
        let fill: f64 = fill.parse().ok()?;
        if !fill.is_finite() || (kind == Kind::Int64 && fill.abs() >= 2f64.powi(63)) {
            return None;
        }
        let tensor = |name: &str| Tensor { name: name.to_string(), kind, shape: shape.clone() };
        Some(StateTensor { input: tensor(name), output: tensor(next_name), fill })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let state = StateTensor::parse("state_a next_a float64 -1.5 1x2x30").unwrap();
        assert_eq!((state.input.name.as_str(), state.output.name.as_str()), ("state_a", "next_a"));
        assert_eq!((state.input.kind, state.fill), (Kind::Float64, -1.5));
        assert_eq!((state.input.shape.as_slice(), state.input.n_values()), ([1, 2, 30].as_slice(), 60));
    }

    #[test]
    fn a_tensor_without_dimensions_has_one_value() {
        assert_eq!(StateTensor::parse("a b int64 0 scalar").unwrap().input.n_values(), 1);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let wrong = [
            "",
            "a b float32 0",
            "a b float32 0 1 2",
            "a b float16 0 1",
            "a b float32 x 1",
            "a b float32 nan 1",
            "a b int64 1e300 1",
            "a b float32 0 1xx2",
            "a b float32 0 0",
            "a b float32 0 -1",
            "a b float32 0 100000x100000",
            "a b float32 0 99999999999999999999",
        ];
        for line in wrong {
            assert_eq!(StateTensor::parse(line), None, "{line:?}");
        }
    }
}
