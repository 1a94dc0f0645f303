//! How long frames took.

use std::time::Duration;

/// Frames at the beginning that are not counted: caches and memory are still cold.
const WARM_UP_FRAMES: usize = 50;

/// Says how long frames of `frame_ms` took, in milliseconds.
pub fn told(taken: &[Duration], frame_ms: f64) -> String {
    let counted = if taken.len() > 2 * WARM_UP_FRAMES { &taken[WARM_UP_FRAMES..] } else { taken };
    let mut sorted: Vec<f64> = counted.iter().map(|one| 1000.0 * one.as_secs_f64()).collect();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() {
        return "no frame was made".to_string();
    }
    let [median, p95, p99] = [0.50, 0.95, 0.99].map(|share| percentile(&sorted, share));
    let real_time = sorted.iter().sum::<f64>() / sorted.len() as f64 / frame_ms;
    format!(
        "a frame of {frame_ms} ms takes {median:.3} ms (median; 95 %: {p95:.3}, 99 %: {p99:.3}); \
         {real_time:.4} x real time"
    )
}

/// Returns the value below which a share of sorted values lies, on the line between the two nearest.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + position.fract() * (above - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_on_the_line_between() {
        let sorted = [0.0, 1.0, 2.0, 3.0, 4.0];
        assert_eq!([0.0, 0.5, 0.6, 1.0].map(|share| percentile(&sorted, share)), [0.0, 2.0, 2.4, 4.0]);
    }

    #[test]
    fn the_first_frames_of_many_are_not_counted() {
        let mut taken = vec![Duration::from_millis(90); WARM_UP_FRAMES];
        taken.extend([Duration::from_millis(2); 100]);
        assert!(told(&taken, 10.0).starts_with("a frame of 10 ms takes 2.000 ms (median; 95 %: 2.000, 99 %: 2.000)"));
    }

    #[test]
    fn a_file_without_frames_has_no_time() {
        assert_eq!(told(&[], 10.0), "no frame was made");
    }
}
