//! The activations on whole slices, written so that the compiler makes vector instructions of them.
//!
//! The standard library's `exp` is a call for each number, and a layer of ViT-B/32 has 150,000 of them: those calls alone
//! would take a fifth of a picture's time.

use lucida_models::checkpoint::Activation;

/// Applies an activation to each number in place.
pub(crate) fn apply(activation: Activation, numbers: &mut [f32]) {
    match activation {
        Activation::Identity => {}
        Activation::QuickGelu => each(numbers, |x| x / (1.0 + exp(-1.702 * x))),
        Activation::Gelu => each(numbers, |x| {
            0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
        }),
        Activation::GeluTanh => {
            const ROOT_OF_2_BY_PI: f32 = 0.797_884_6;
            each(numbers, |x| {
                0.5 * x * (1.0 + tanh(ROOT_OF_2_BY_PI * (x + 0.044_715 * x * x * x)))
            });
        }
        Activation::Silu => each(numbers, |x| x / (1.0 + exp(-x))),
        Activation::Relu => each(numbers, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::Tanh => each(numbers, tanh),
    }
}

fn each(numbers: &mut [f32], function: impl Fn(f32) -> f32) {
    for number in numbers {
        *number = function(*number);
    }
}

/// Returns `e` to the power of `x` within 2 units in the last place; beyond what f32 holds, the nearest that it does. A NaN
/// stays one.
///
/// The range is reduced to half a power of two, as in Cephes' `expf`, whose polynomial this is (Moshier, `expf.c`).
#[inline]
pub(crate) fn exp(x: f32) -> f32 {
    /// Added and taken away, it leaves the nearest whole number: 1.5 · 2²³.
    const ROUND: f32 = 12_582_912.0;
    /// `ln 2` in two parts, of which the first has zeros at its end, so that its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.3, 88.3);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = (x - power * LN_2[0]) - power * LN_2[1];
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = sum * rest + coefficient;
    }
    let fraction = sum * rest * rest + rest + 1.0;
    // The low bits of `shifted` are the power itself; it goes into the exponent.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    fraction * scale
}

/// Returns the error function within 5e-7 (Abramowitz and Stegun 1964, 7.1.26, whose own error is 1.5e-7).
#[inline]
fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let mut sum = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        sum = sum * t + coefficient;
    }
    (1.0 - sum * t * exp(-size * size)).copysign(x)
}

/// Returns the hyperbolic tangent within 5e-7.
#[inline]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The activations are far below what f32 products lose, and cosines of 0.9999 allow a hundred times as much.
    const TOLERANCE: f64 = 1e-6;

    fn numbers() -> impl Iterator<Item = f32> {
        (-200_000..=200_000_i32).map(|step| step as f32 / 10_000.0)
    }

    /// By its series, and by 1 where f64 has no more digits.
    fn exact_erf(x: f64) -> f64 {
        if x.abs() > 5.8 {
            return x.signum();
        }
        let (mut term, mut sum, mut n) = (x, x, 0.0_f64);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        sum * (-x * x).exp() * 2.0 / std::f64::consts::PI.sqrt()
    }

    fn assert_close(activation: Activation, exact: impl Fn(f64) -> f64) {
        for x in numbers() {
            let mut given = [x];
            apply(activation, &mut given);
            let expected = exact(f64::from(x));
            let error = (f64::from(given[0]) - expected).abs() / expected.abs().max(1.0);
            assert!(
                error < TOLERANCE,
                "{activation:?} of {x} is {}, not {expected}",
                given[0]
            );
        }
    }

    #[test]
    fn each_activation_is_what_its_name_says() {
        assert_close(Activation::Identity, |x| x);
        assert_close(Activation::QuickGelu, |x| x / (1.0 + (-1.702 * x).exp()));
        assert_close(Activation::Gelu, |x| {
            0.5 * x * (1.0 + exact_erf(x / 2.0_f64.sqrt()))
        });
        assert_close(Activation::GeluTanh, |x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        });
        assert_close(Activation::Relu, |x| x.max(0.0));
        assert_close(Activation::Tanh, f64::tanh);
    }

    #[test]
    fn exp_is_right_in_all_but_the_last_digits() {
        for x in numbers().map(|x| x * 4.0) {
            let (given, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (given / expected - 1.0).abs() < 2.4e-7,
                "exp({x}) is {given}, not {expected}"
            );
        }
    }

    #[test]
    fn what_no_number_can_hold_stays_finite_and_a_nan_stays_a_nan() {
        for activation in [
            Activation::QuickGelu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Tanh,
        ] {
            let mut numbers = [1e30, -1e30, f32::NAN];
            apply(activation, &mut numbers);
            assert!(
                numbers[0] == 1e30 || numbers[0] == 1.0,
                "{activation:?}: {numbers:?}"
            );
            assert!((-1.0..=0.0).contains(&numbers[1]), "{activation:?}: {numbers:?}");
            assert!(numbers[2].is_nan(), "{activation:?}: {numbers:?}");
        }
        let mut numbers = [f32::NAN];
        apply(Activation::Relu, &mut numbers);
        assert!(numbers[0].is_nan());
    }
}
