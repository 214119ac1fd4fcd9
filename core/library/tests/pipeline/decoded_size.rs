//! How large the pipeline decodes pictures: as large as whoever looks at them needs.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lucida_core::{DecodeSize, EnrichInput, Enrichment, Hook, PhotoState, Plugin, Result, TowerKind};
use lucida_testkit::{HashModel, jpeg};

use crate::support::Library;

/// An enriching plugin that remembers how large its pictures were.
struct Looker {
    needs: DecodeSize,
    seen: Mutex<Vec<(u32, u32)>>,
}

impl Looker {
    fn needing(needs: DecodeSize) -> Arc<Self> {
        Arc::new(Self {
            needs,
            seen: Mutex::default(),
        })
    }
}

#[async_trait]
impl Plugin for Looker {
    fn name(&self) -> &str {
        "looker"
    }

    fn hooks(&self) -> &[Hook] {
        &[Hook::Enrich]
    }

    fn decode_size(&self) -> DecodeSize {
        self.needs
    }

    async fn enrich(&self, input: &EnrichInput) -> Result<Enrichment> {
        let size = (input.picture.width(), input.picture.height());
        self.seen.lock().unwrap().push(size);
        Ok(Enrichment::default())
    }
}

/// Takes in a photo of 800 × 600 under a model that needs 100 pixels; returns how large plugin and model saw it.
async fn seen(plugin_needs: DecodeSize) -> ((u32, u32), String) {
    let looker = Looker::needing(plugin_needs);
    let library = Library::with_plugins(vec![looker.clone()]).with_model(HashModel::new().decoding_to(100));
    let workers = library.start();
    let photo = library
        .settle(&library.alice, &jpeg(800, 600, [200, 30, 30]))
        .await;
    library.stop(workers).await;
    assert_eq!(photo.state, PhotoState::Ready);
    assert_eq!(
        (photo.width, photo.height),
        (800, 600),
        "the photo keeps its size"
    );
    let size = looker.seen.lock().unwrap()[0];
    (size, library.model.batches(TowerKind::Image)[0][0].clone())
}

#[tokio::test]
async fn a_photo_is_decoded_as_large_as_its_most_demanding_reader_needs() {
    for (needs, side) in [
        (DecodeSize::ANY, (200, 150)),
        (DecodeSize::short_side(300), (400, 300)),
        (DecodeSize::long_side(400), (400, 300)),
        (DecodeSize::long_side(200), (200, 150)),
        (DecodeSize::FULL, (800, 600)),
    ] {
        assert_eq!(
            seen(needs).await,
            (side, format!("{}x{}", side.0, side.1)),
            "{needs:?}"
        );
    }
}

#[tokio::test]
async fn a_picture_that_is_only_embedded_is_decoded_as_large_as_the_model_needs() {
    // What plugins need of photos does not count here.
    let library = Library::with_plugins(vec![Looker::needing(DecodeSize::FULL)]);
    for (model, expected) in [
        (HashModel::new(), (800, 600)),
        (HashModel::new().decoding_to(100), (200, 150)),
    ] {
        let library = library.with_model(model);
        let mut spool = library.photos.spool().await.unwrap();
        spool.write(jpeg(800, 600, [30, 30, 200])).await.unwrap();
        let picture = library.photos.decode_upload(spool).await.unwrap();
        assert_eq!((picture.width(), picture.height()), expected);
    }
}
