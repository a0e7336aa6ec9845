//! The statistics. All of it is pure; nothing here is money or capacity, so fractions are in order.

/// Brings counts to a scale on which chance alone spreads each of them by about 1, however large it is: 2·√(x + 3/8).
/// Source: F. J. Anscombe, "The transformation of Poisson, binomial and negative-binomial data", Biometrika 35 (1948).
pub(super) fn anscombe(count: u32) -> f64 {
    2.0 * (f64::from(count) + 0.375).sqrt()
}

/// The count that [`anscombe`] brings there, rounded to the nearest; 0 below all.
pub(super) fn count_at(scaled: f64) -> u32 {
    ((scaled.max(0.0) / 2.0).powi(2) - 0.375).round().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// Makes the median absolute deviation of normal values estimate their standard deviation.
const MAD_TO_DEVIATION: f64 = 1.4826;
/// The least spread, as a part of the middle: work varies by more than chance, with full and empty weeks.
const SPREAD_SHARE_MIN: f64 = 0.1;

/// What is usual, on the scale of [`anscombe`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Baseline {
    /// The median.
    pub middle: f64,
    /// The spread around it.
    pub spread: f64,
}

impl Baseline {
    /// That something does not happen at all.
    pub fn never() -> Self {
        Baseline { middle: anscombe(0), spread: 1.0 }
    }

    /// Median and scaled median absolute deviation, which half of the values being abuse would not move far; `None`
    /// of fewer than `least` values. The spread is never less than chance alone gives, nor than a tenth of the middle.
    /// Source: B. Iglewicz and D. Hoaglin, "How to detect and handle outliers", ASQC 1993, chapter 3.3.
    pub fn of(values: impl Iterator<Item = u32>, least: usize) -> Option<Baseline> {
        let mut values: Vec<f64> = values.map(anscombe).collect();
        if values.len() < least.max(1) {
            return None;
        }
        let middle = median(&mut values);
        values.iter_mut().for_each(|value| *value = (*value - middle).abs());
        let spread = MAD_TO_DEVIATION * median(&mut values);
        Some(Baseline { middle, spread: spread.max(1.0).max(SPREAD_SHARE_MIN * middle) })
    }

    /// How many spreads a count lies above the middle: the modified z-score of Iglewicz and Hoaglin.
    pub fn z(&self, count: u32) -> f64 {
        (anscombe(count) - self.middle) / self.spread
    }
}

/// The value in the middle, or between the two there; sorts them. 0 of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.len() % 2, values.get(half.wrapping_sub(1)), values.get(half)) {
        (1, _, Some(middle)) => *middle,
        (_, Some(below), Some(above)) => (below + above) / 2.0,
        _ => 0.0,
    }
}

/// How far a count stands out of its own past and of its peers. Both must find it odd, since a campaign lifts all
/// peers and a large job one person's every week; peers alone suffice where they find it twice as odd, since whoever
/// has harvested for months has a past that does not find it odd.
pub(super) fn both(own: Option<f64>, peers: Option<f64>) -> Option<f64> {
    match (own, peers) {
        (Some(own), Some(peers)) => Some(own.min(peers).max(peers / 2.0)),
        (own, peers) => own.or(peers),
    }
}

/// How improbable it is that of `n` independent tries with probability `p` at least `k` succeed, as −log₁₀: 0 is
/// certain, 3 one in a thousand.
pub(super) fn binomial_surprise(n: u32, k: u32, p: f64) -> f64 {
    if k == 0 || p >= 1.0 || k > n {
        return 0.0;
    }
    let (ln_p, ln_q) = (p.max(f64::MIN_POSITIVE).ln(), (1.0 - p).ln());
    // The term of k, then each following one from the one before it.
    let choose: f64 = (0..k).map(|i| (f64::from(n - i) / f64::from(k - i)).ln()).sum();
    let first = choose + f64::from(k) * ln_p + f64::from(n - k) * ln_q;
    let (mut term, mut sum) = (1.0, 0.0);
    for i in k..=n {
        sum += term;
        term *= f64::from(n - i) / f64::from(i + 1) * (ln_p - ln_q).exp();
    }
    (-(first + f64::ln(sum)) / std::f64::consts::LN_10).max(0.0)
}

/// Kilometres between two points given in degrees, along the earth's surface taken as a sphere (haversine formula:
/// R. W. Sinnott, "Virtues of the haversine", Sky & Telescope 68, 1984). At most half a percent off.
pub(super) fn kilometres((north_a, east_a): (f64, f64), (north_b, east_b): (f64, f64)) -> f64 {
    const EARTH_RADIUS_KM: f64 = 6_371.0;
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let h = half(north_a, north_b) + north_a.to_radians().cos() * north_b.to_radians().cos() * half(east_a, east_b);
    2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_count_is_near_and_a_large_one_far_whatever_one_more_outlier_does() {
        let week = [20, 24, 18, 22, 25, 21];
        let plain = Baseline::of(week.into_iter(), 4).unwrap();
        assert!(plain.z(26) < 2.0 && plain.z(60) > 4.0, "{plain:?}");
        let poisoned = Baseline::of(week.into_iter().chain([4_000]), 4).unwrap();
        assert!((plain.middle - poisoned.middle).abs() < 0.5 && poisoned.z(60) > 3.5, "{poisoned:?}");
        assert_eq!(Baseline::of([1, 2].into_iter(), 3), None);
        assert_eq!(Baseline::of([].into_iter(), 0), None);
    }

    #[test]
    fn scaling_there_and_back_is_the_same_count() {
        for count in [0, 1, 2, 7, 100, 12_345] {
            assert_eq!(count_at(anscombe(count)), count);
        }
        assert_eq!(count_at(-3.0), 0);
    }

    #[test]
    fn a_campaign_and_a_large_job_are_not_odd_and_a_past_full_of_it_does_not_help() {
        assert_eq!(both(Some(9.0), Some(0.5)), Some(0.5));
        assert_eq!(both(Some(0.2), Some(3.0)), Some(1.5));
        assert_eq!(both(Some(0.1), Some(12.0)), Some(6.0));
        assert_eq!((both(None, Some(5.0)), both(Some(5.0), None), both(None, None)), (Some(5.0), Some(5.0), None));
    }

    #[test]
    fn binomial_tails_are_those_of_the_books() {
        // 1 − 0.5¹⁰, and 0.5¹⁰.
        assert!((binomial_surprise(10, 10, 0.5) - 1024f64.log10()).abs() < 1e-9);
        assert!((binomial_surprise(10, 1, 0.5) + (1.0 - 1.0 / 1024.0f64).log10()).abs() < 1e-9);
        // P(X ≥ 3) of Bin(5, 0.2) is 0.05792.
        assert!((binomial_surprise(5, 3, 0.2) + 0.05792f64.log10()).abs() < 1e-9);
        assert_eq!((binomial_surprise(5, 0, 0.2), binomial_surprise(5, 5, 1.0)), (0.0, 0.0));
        assert!(binomial_surprise(3_000, 2_900, 0.01).is_finite());
    }

    #[test]
    fn distances_are_those_of_an_atlas() {
        let (taipei, tokyo, frankfurt) = ((25.03, 121.56), (35.68, 139.69), (50.11, 8.68));
        assert!((kilometres(taipei, tokyo) - 2_100.0).abs() < 25.0);
        assert!((kilometres(taipei, frankfurt) - 9_370.0).abs() < 80.0);
        assert_eq!(kilometres(taipei, taipei), 0.0);
    }
}
