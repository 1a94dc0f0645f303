//! Sound held back by as many samples as a network is late, to be mixed with what it restored.

/// A delay of one channel.
pub struct Delayed {
    ring: Vec<f32>,
    position: usize,
}

impl Delayed {
    /// Returns one that holds zeros.
    pub fn new(n_samples: usize) -> Self {
        Delayed { ring: vec![0.0; n_samples], position: 0 }
    }

    /// Takes a sample, and returns the one of as many samples ago.
    pub fn next(&mut self, sample: f32) -> f32 {
        if self.ring.is_empty() {
            return sample;
        }
        let old = std::mem::replace(&mut self.ring[self.position], sample);
        self.position = (self.position + 1) % self.ring.len();
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_as_late() {
        for n_samples in [0, 1, 3] {
            let mut delayed = Delayed::new(n_samples);
            let out: Vec<f32> = (1..=8).map(|value| delayed.next(value as f32)).collect();
            assert_eq!(out[..n_samples], [0.0; 3][..n_samples]);
            assert_eq!(out[n_samples], 1.0);
        }
    }
}
