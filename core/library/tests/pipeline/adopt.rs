//! Vectors that another service made are taken over where they are the model's own, and only then.

use std::collections::HashMap;

use lucida_core::{
    CollectionName, DecodeSize, ErrorKind, Lane, Photo, PhotoId, PhotoState, Point, TowerKind, embed_image,
};
use lucida_library::{AdoptReport, Originals};
use lucida_picture::DecodeOptions;
use lucida_testkit::{HashModel, jpeg, picture, point};

use super::support::{CHECK, Library};

const RED: [u8; 3] = [220, 20, 20];

const DECODE: DecodeOptions = DecodeOptions {
    max_pixels: 1_000_000,
    accept_truncated: false,
    size: DecodeSize::FULL,
};

/// A service before this one: a folder of originals named by id, and a collection of their vectors.
struct Before {
    folder: tempfile::TempDir,
    collection: CollectionName,
    ids: Vec<PhotoId>,
}

impl Before {
    async fn new(library: &Library, model: HashModel, photos: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let collection = CollectionName::new("the_python_service").unwrap();
        let index = &library.parts.index;
        index.ensure(&collection, 64).await.unwrap();
        let model = model.start();
        let mut ids = Vec::new();
        for number in 0..photos {
            let id = PhotoId::from_uuid(uuid::Uuid::from_u128(u128::from(number) + 1));
            let bytes = jpeg(60 + number, 40, RED);
            std::fs::write(folder.path().join(format!("{id}.jpg")), &bytes).unwrap();
            let decoded = lucida_picture::decode(&bytes, &DECODE).unwrap();
            let vector = embed_image(&model, decoded.into(), Lane::Background)
                .await
                .unwrap();
            let point = Point {
                user_id: library.alice.clone(),
                ..point(id, &library.alice, vector)
            };
            index.upsert(&collection, &[point]).await.unwrap();
            ids.push(id);
        }
        Self {
            folder,
            collection,
            ids,
        }
    }

    fn originals(&self) -> Originals {
        let path = |id: &PhotoId| self.folder.path().join(format!("{id}.jpg"));
        self.ids.iter().map(|id| (id.to_string(), path(id))).collect()
    }

    async fn adopt(&self, library: &Library, originals: &Originals) -> lucida_core::Result<AdoptReport> {
        let name = self.collection.as_str();
        library.photos.adopt(name, originals, false, &mut |_| ()).await
    }
}

async fn photo(library: &Library, id: &PhotoId) -> Photo {
    library.photos.photo(&library.alice, id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn originals_come_in_under_their_ids_and_none_is_embedded_again() {
    let library = Library::new();
    let before = Before::new(&library, HashModel::new(), 40).await;
    let report = before.adopt(&library, &before.originals()).await.unwrap();
    assert_eq!((report.points, report.adopted, report.uploaded), (40, 40, 40));
    assert_eq!((report.unknown, report.refused, report.compared), (0, 0, 32));
    assert!(report.least_cosine > 0.9999, "{}", report.least_cosine);
    let compared = embedded(&library);
    let workers = library.start();
    for id in &before.ids {
        assert_eq!(library.settled(id).await.state, PhotoState::Ready);
    }
    library.stop(workers).await;
    assert_eq!(embedded(&library), compared, "only the sample was embedded");
    assert_eq!(library.found_by_text(&library.alice, "red").await.len(), 10);
    let report = library.photos.check(&CHECK, &mut |_| ()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    // The other service's collection is as it was, and a second time changes nothing.
    let index = &library.parts.index;
    assert_eq!(index.count(&before.collection).await.unwrap(), 40);
    let versions: HashMap<_, _> = versions(&library, &before.ids).await;
    let again = before.adopt(&library, &before.originals()).await.unwrap();
    assert_eq!((again.adopted, again.uploaded), (40, 0));
    assert_eq!(self::versions(&library, &before.ids).await, versions);
}

fn embedded(library: &Library) -> usize {
    library.model.batches(TowerKind::Image).iter().map(Vec::len).sum()
}

async fn versions(library: &Library, ids: &[PhotoId]) -> HashMap<PhotoId, u64> {
    let mut versions = HashMap::new();
    for id in ids {
        versions.insert(*id, photo(library, id).await.version);
    }
    versions
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_of_another_model_are_refused_and_nothing_is_written() {
    let library = Library::new();
    let before = Before::new(&library, HashModel::named("other"), 12).await;
    let error = before.adopt(&library, &before.originals()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Conflict, "other_vectors")
    );
    let report = library.photos.check(&CHECK, &mut |_| ()).await.unwrap();
    assert_eq!((report.photos, report.points, report.blobs), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_that_are_not_here_are_counted_and_without_any_nothing_can_be_compared() {
    let library = Library::new();
    let before = Before::new(&library, HashModel::new(), 6).await;
    let error = before.adopt(&library, &Originals::new()).await.unwrap_err();
    assert_eq!(error.code(), "nothing_to_compare");
    let mut originals = before.originals();
    originals.remove(&before.ids[2].to_string());
    // A file that is not a photo.
    std::fs::write(&originals[&before.ids[3].to_string()], "text").unwrap();
    let index = &library.parts.index;
    let unknown = picture(10, 10, RED);
    let vector = embed_image(&*library.parts.embedder, unknown, Lane::Background)
        .await
        .unwrap();
    let stranger = point(PhotoId::generate(), &library.bob, vector);
    index.upsert(&before.collection, &[stranger]).await.unwrap();
    let report = before.adopt(&library, &originals).await.unwrap();
    assert_eq!((report.points, report.adopted, report.compared), (7, 4, 4));
    assert_eq!((report.unknown, report.refused), (2, 1));
}
