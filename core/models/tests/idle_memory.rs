//! An idle model does not sit on memory that it only needed while it computed.
//!
//! A process of its own, so that no other test's memory counts.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(
    clippy::unwrap_used,
    reason = "what should have worked fails its test by panicking"
)]

use lucida_core::{EmbedderInfo, Error, Lane, Modalities, Picture, Result, embed_text};
use lucida_models::{BatchOptions, Batched, Model, TextInput, Tower};
use lucida_testkit::{HashModel, eventually};

const DIMENSIONS: usize = 2;

/// What a batch takes and gives back, in blocks that the allocator keeps for later.
const WASTE_BYTES: usize = 64 << 20;
const BLOCK_BYTES: usize = 4 << 10;

/// Of so many blocks one is kept, so that no stretch of memory is free as a whole by itself.
const BLOCKS_PER_KEPT: usize = 256;

/// A text model that needs a lot of memory while it computes.
struct Wasteful;

struct WastefulTower {
    kept: Vec<Vec<u8>>,
}

impl Model for Wasteful {
    type Visual = WastefulTower;
    type Textual = WastefulTower;

    fn describe(&self) -> EmbedderInfo {
        EmbedderInfo {
            dimensions: DIMENSIONS,
            modalities: Modalities {
                image: false,
                text: true,
            },
            ..HashModel::new().describe()
        }
    }

    fn prepare_image(&self, _: &Picture) -> Result<()> {
        Err(Error::invalid("there is no image tower"))
    }

    fn prepare_text(&self, _: TextInput<'_>) -> Result<()> {
        Ok(())
    }

    fn load_visual(&self) -> Result<WastefulTower> {
        Err(Error::invalid("there is no image tower"))
    }

    fn load_textual(&self) -> Result<WastefulTower> {
        Ok(WastefulTower { kept: Vec::new() })
    }
}

impl Tower for WastefulTower {
    type Input = ();

    fn embed(&mut self, batch: &[()]) -> Vec<Result<Vec<f32>>> {
        let blocks = (0..WASTE_BYTES / BLOCK_BYTES).map(|_| vec![1; BLOCK_BYTES]);
        let mut blocks: Vec<_> = blocks.collect();
        self.kept = blocks
            .iter_mut()
            .step_by(BLOCKS_PER_KEPT)
            .map(std::mem::take)
            .collect();
        batch.iter().map(|()| Ok(vec![1.0; DIMENSIONS])).collect()
    }
}

/// Returns the memory of this process that no file stands behind.
fn anonymous_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_left_behind_is_given_back_while_the_tower_stays() {
    let options = BatchOptions {
        idle_unload: None,
        ..HashModel::options()
    };
    let embedder = Batched::start(Wasteful, &options).unwrap();
    let before = anonymous_bytes();
    embed_text(&embedder, "once".to_owned(), Lane::Interactive)
        .await
        .unwrap();
    let kept = anonymous_bytes() - before;
    assert!(
        kept > WASTE_BYTES / 2,
        "the allocator gave all but {kept} bytes back by itself"
    );
    eventually("the memory is given back", async || {
        anonymous_bytes() < before + WASTE_BYTES / 4
    })
    .await;
}
