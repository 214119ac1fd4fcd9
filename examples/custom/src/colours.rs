//! The plugin `colours`: tags a photo with the colours that most of it has, such as `colour:blue`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lucida_core::config::factory_fn;
use lucida_core::{EnrichInput, Enrichment, Error, Factory, Hook, Picture, Plugin, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Tags a photo with the colours that most of it has.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ColoursConfig {
    /// How much of the picture a colour must cover to become a tag, in per cent, 1 to 100.
    #[schemars(example = 20)]
    pub(crate) least_percent: u32,
}

impl Default for ColoursConfig {
    fn default() -> Self {
        Self { least_percent: 20 }
    }
}

impl Settings for ColoursConfig {
    fn validate(&self) -> Result<()> {
        if (1..=100).contains(&self.least_percent) {
            return Ok(());
        }
        Err(Error::config("least_percent", "must be 1 to 100"))
    }
}

/// Makes the factory of `type = "colours"`.
pub(crate) fn factory() -> impl Factory<dyn Plugin> {
    factory_fn("colours", |config: ColoursConfig, _| async move {
        Ok(Colours { config })
    })
}

struct Colours {
    config: ColoursConfig,
}

#[async_trait]
impl Plugin for Colours {
    fn name(&self) -> &'static str {
        "colours"
    }

    fn hooks(&self) -> &[Hook] {
        &[Hook::Enrich]
    }

    async fn enrich(&self, input: &EnrichInput) -> Result<Enrichment> {
        let percents = percents(&input.picture);
        let tags = percents
            .iter()
            .filter(|(_, percent)| **percent >= self.config.least_percent)
            .map(|(colour, _)| format!("colour:{colour}"))
            .collect();
        Ok(Enrichment {
            attributes: Some(json!({ "percent": percents })),
            tags,
            ..Enrichment::default()
        })
    }
}

/// How many pixels are looked at in each direction; few enough to take no time worth a thread of its own.
const SAMPLES_PER_SIDE: u32 = 64;

/// Returns how much of a picture each colour covers, in per cent rounded down; colours below 1 are left out.
fn percents(picture: &Picture) -> BTreeMap<&'static str, u32> {
    let (width, height) = (picture.width(), picture.height());
    let (columns, rows) = (width.min(SAMPLES_PER_SIDE), height.min(SAMPLES_PER_SIDE));
    let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
    for row in 0..rows {
        for column in 0..columns {
            // The middle of each cell of the grid; in 64 bits, since sides may be long.
            let place = |index: u32, count: u32, side: u32| {
                let middle = (2 * u64::from(index) + 1) * u64::from(side) / (2 * u64::from(count));
                u32::try_from(middle).unwrap_or(side - 1)
            };
            let pixel = picture
                .pixels()
                .get_pixel(place(column, columns, width), place(row, rows, height));
            *counts.entry(name(pixel.0)).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .map(|(colour, count)| (colour, count * 100 / (columns * rows)))
        .filter(|(_, percent)| *percent > 0)
        .collect()
}

/// Names an sRGB colour, by its hue where it has one.
fn name([red, green, blue]: [u8; 3]) -> &'static str {
    let [red, green, blue] = [red, green, blue].map(i32::from);
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let chroma = most - least;
    if most < 48 {
        return "black";
    }
    if chroma * 5 < most {
        return match most {
            ..96 => "black",
            96..208 => "grey",
            _ => "white",
        };
    }
    // The hue in degrees, 0 to 359, as in HSV.
    let hue = if most == red {
        (60 * (green - blue) / chroma).rem_euclid(360)
    } else if most == green {
        120 + 60 * (blue - red) / chroma
    } else {
        240 + 60 * (red - green) / chroma
    };
    match hue {
        15..45 if most < 160 => "brown",
        15..45 => "orange",
        45..70 => "yellow",
        70..165 => "green",
        165..195 => "cyan",
        195..255 => "blue",
        255..290 => "purple",
        290..345 => "pink",
        _ => "red",
    }
}

#[cfg(test)]
mod tests {
    use lucida_testkit::Fixture;

    use super::*;

    async fn fixture() -> Fixture<dyn Plugin> {
        Fixture::new(Colours {
            config: ColoursConfig::default(),
        })
    }
    lucida_testkit::plugin_contract!(fixture);

    #[test]
    fn colours_have_the_names_that_people_give_them() {
        for (rgb, colour) in [
            ([0, 0, 0], "black"),
            ([255, 255, 255], "white"),
            ([128, 128, 128], "grey"),
            ([220, 20, 20], "red"),
            ([255, 140, 0], "orange"),
            ([120, 70, 20], "brown"),
            ([250, 230, 30], "yellow"),
            ([40, 160, 60], "green"),
            ([30, 200, 200], "cyan"),
            ([30, 60, 200], "blue"),
            ([110, 30, 200], "purple"),
            ([240, 80, 200], "pink"),
        ] {
            assert_eq!(name(rgb), colour, "{rgb:?}");
        }
    }

    #[test]
    fn a_picture_of_sky_over_grass_is_blue_and_green() {
        let pixels = image::RgbImage::from_fn(301, 199, |_, y| {
            image::Rgb(if y < 119 { [60, 110, 220] } else { [50, 150, 40] })
        });
        let percents = percents(&Picture::new(pixels).unwrap());
        assert_eq!(percents.keys().copied().collect::<Vec<_>>(), ["blue", "green"]);
        assert!((58..=61).contains(&percents["blue"]), "{percents:?}");
    }

    #[test]
    fn a_picture_of_one_pixel_has_one_colour() {
        let pixels = image::RgbImage::from_pixel(1, 1, image::Rgb([255, 0, 0]));
        let percents = percents(&Picture::new(pixels).unwrap());
        assert_eq!(percents, BTreeMap::from([("red", 100)]));
    }
}
