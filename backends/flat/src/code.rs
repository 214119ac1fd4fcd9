//! A vector in one byte per dimension, and queries in two.

/// A rotated unit vector as small whole numbers, each times `scale`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Code {
    pub(crate) scale: f32,
    pub(crate) values: Vec<i8>,
}

impl Code {
    /// Encodes a rotated vector.
    pub(crate) fn of(rotated: &[f32]) -> Self {
        let largest = largest(rotated);
        if largest == 0.0 {
            return Self {
                scale: 0.0,
                values: vec![0; rotated.len()],
            };
        }
        let scale = largest / 127.0;
        let inverse = 127.0 / largest;
        #[expect(clippy::cast_possible_truncation, reason = "it is within -127 and 127")]
        let values = rotated
            .iter()
            .map(|number| (number * inverse).round() as i8)
            .collect();
        Self { scale, values }
    }

    /// Writes it as the database keeps it: the scale, then the numbers.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let values = self.values.iter().map(|value| value.to_le_bytes()[0]);
        self.scale.to_le_bytes().into_iter().chain(values).collect()
    }

    /// Splits what [`Self::to_bytes`] wrote into scale and numbers; `None` when it is not of so many dimensions.
    pub(crate) fn split(bytes: &[u8], dimensions: usize) -> Option<(f32, &[u8])> {
        let (scale, values) = bytes.split_first_chunk()?;
        let scale = f32::from_le_bytes(*scale);
        (values.len() == dimensions && scale.is_finite()).then_some((scale, values))
    }
}

/// A rotated query in two bytes per dimension, so that only the stored side's rounding matters.
#[derive(Debug)]
pub(crate) struct CodeQuery {
    pub(crate) scale: f32,
    pub(crate) values: Vec<i16>,
}

impl CodeQuery {
    /// Encodes a rotated query, such that no product with a code overflows 32 bits.
    pub(crate) fn of(rotated: &[f32]) -> Self {
        let most = (i32::MAX as usize / (127 * rotated.len().max(1))).clamp(1, 32_767);
        #[expect(clippy::cast_precision_loss, reason = "it is at most 32767")]
        let most = most as f32;
        let largest = largest(rotated);
        if largest == 0.0 {
            return Self {
                scale: 0.0,
                values: vec![0; rotated.len()],
            };
        }
        let inverse = most / largest;
        #[expect(clippy::cast_possible_truncation, reason = "it is within -32767 and 32767")]
        let values = rotated
            .iter()
            .map(|number| (number * inverse).round() as i16)
            .collect();
        Self {
            scale: largest / most,
            values,
        }
    }
}

fn largest(vector: &[f32]) -> f32 {
    vector
        .iter()
        .fold(0.0, |most: f32, number| most.max(number.abs()))
}

/// Makes a copy of unit length; one of length 0 stays as it is.
#[expect(
    clippy::cast_possible_truncation,
    reason = "quotients of f32 fit f32 well enough"
)]
pub(crate) fn normalised(vector: &[f32]) -> Vec<f32> {
    let length = length(vector);
    if length == 0.0 {
        return vector.to_vec();
    }
    vector
        .iter()
        .map(|number| (f64::from(*number) / length) as f32)
        .collect()
}

/// Returns the length of a vector; in f64, which no f32 overflows.
pub(crate) fn length(vector: &[f32]) -> f64 {
    vector
        .iter()
        .map(|number| f64::from(*number).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Adds a code to a sum.
pub(crate) fn add(sum: &mut [f64], scale: f32, values: &[i8]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += f64::from(scale) * f64::from(*value);
    }
}

#[cfg(test)]
mod tests {
    use lucida_testkit::unit_vector;

    use super::*;

    #[test]
    fn a_code_comes_back_from_its_bytes() {
        let code = Code::of(&unit_vector(100, 1));
        let bytes = code.to_bytes();
        let (scale, values) = Code::split(&bytes, 100).unwrap();
        let values: Vec<_> = values.iter().map(|byte| i8::from_le_bytes([*byte])).collect();
        assert_eq!(Code { scale, values }, code);
        assert_eq!(Code::split(&bytes, 99), None);
        assert_eq!(Code::split(&[1, 2], 100), None);
    }

    #[test]
    fn codes_keep_cosines() {
        const TOLERANCE: f32 = 0.002;
        let (left, right) = (unit_vector(512, 1), unit_vector(512, 2));
        let exact: f32 = left.iter().zip(&right).map(|(l, r)| l * r).sum();
        let (code, query) = (Code::of(&left), CodeQuery::of(&right));
        let dot: i32 = code
            .values
            .iter()
            .zip(&query.values)
            .map(|(c, q)| i32::from(*c) * i32::from(*q))
            .sum();
        let approximate = dot as f32 * code.scale * query.scale;
        assert!(
            (approximate - exact).abs() < TOLERANCE,
            "{approximate} is not {exact}"
        );
    }

    #[test]
    fn vectors_of_extreme_length_are_normalised() {
        assert_eq!(normalised(&[0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(normalised(&[f32::MAX, 0.0]), [1.0, 0.0]);
        assert_eq!(normalised(&[0.0, f32::MIN_POSITIVE]), [0.0, 1.0]);
    }
}
