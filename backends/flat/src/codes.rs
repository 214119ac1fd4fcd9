//! The codes of the points of a chunk.

/// The codes of a chunk, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Codes {
    pub(crate) scales: Vec<f32>,
    /// `(points, dimensions)`.
    pub(crate) values: Vec<i8>,
}

impl Codes {
    /// Returns the code at a place of the chunk.
    pub(crate) fn get(&self, place: usize, dimensions: usize) -> (f32, &[i8]) {
        let start = place * dimensions;
        (self.scales[place], &self.values[start..start + dimensions])
    }

    /// Writes the code at a place, which may be behind the last.
    pub(crate) fn set(&mut self, place: usize, scale: f32, values: &[i8]) {
        let dimensions = values.len();
        if place >= self.scales.len() {
            self.scales.resize(place + 1, 0.0);
            self.values.resize((place + 1) * dimensions, 0);
        }
        self.scales[place] = scale;
        self.values[place * dimensions..(place + 1) * dimensions].copy_from_slice(values);
    }
}
