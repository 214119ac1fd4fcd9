//! Adopts the vectors of another service, where the configured model computes the same ones.
//!
//! The other collection is only read. Its vectors are copied into the model's own, and the given originals are uploaded;
//! their ingestion finds the vector in the collection already.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::seq::SliceRandom;
use tracing::{Instrument, debug, info_span};

use crate::blobs::Blobs;
use crate::fault::Fault;
use crate::models::Models;
use crate::search::Search;
use crate::spool::Spool;
use crate::upload::{Intake, UploadDetails};
use lucida_core::{
    Embedding, Error, ErrorKind, ForeignCollection, ForeignPoint, Lane, MetadataStore, Photo, PhotoId,
    PhotoState, Point, Result, UserId, VectorIndex, embed_image,
};

/// How many points are read at once.
const PAGE: usize = 500;

/// How many vectors are compared with the model's own.
const SAMPLE: usize = 32;

/// The least cosine of two vectors of one model and photo: other decoders and number formats move it in the fourth decimal.
const SAME: f32 = 0.995;

/// How many of a sample, of ten, must be the same: some services turn photos another way, or store another size.
const OF_TEN: usize = 9;

/// The files of a foreign collection's originals, by their names without extension.
pub type Originals = HashMap<String, PathBuf>;

/// What became of the points of a foreign collection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdoptReport {
    /// The points that there are.
    pub total: u64,
    /// The points that were read.
    pub points: u64,
    /// Vectors that were taken over, for photos that have a record or were uploaded.
    pub adopted: u64,
    /// Photos that came in as uploads.
    pub uploaded: u64,
    /// Points whose photo has neither a record nor an original.
    pub unknown: u64,
    /// Points that can't be taken over: no vector, no photo, another user's photo, an original that is not a picture.
    pub refused: u64,
    /// How many vectors were compared with the model's own.
    pub compared: usize,
    /// The least cosine among them.
    pub least_cosine: f32,
}

/// What an adoption reports as it goes.
#[derive(Debug)]
pub enum AdoptNews<'a> {
    /// The vectors are the model's own.
    Verified(&'a AdoptReport),
    /// A point can't be taken over.
    Refused(&'a str, &'a Error),
    /// The progress.
    Progress(&'a AdoptReport),
}

/// Takes the news of an adoption.
pub(crate) type OnNews<'a> = dyn FnMut(AdoptNews<'_>) + Send + 'a;

/// A photo of a sample, with the vector that the other service made of it.
struct Sampled {
    photo_id: String,
    vector: Vec<f32>,
    source: Source,
}

/// Where an original is.
enum Source {
    Record(Box<Photo>),
    File(PathBuf),
}

/// Adopts the vectors of another service.
#[derive(Clone)]
pub(crate) struct Adoption {
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) models: Models,
    pub(crate) blobs: Blobs,
    pub(crate) spool: Spool,
    pub(crate) search: Search,
    pub(crate) intake: Intake,
}

impl Adoption {
    /// Compares a sample of a foreign collection with the configured model and, unless it is only to be looked at, takes
    /// the vectors over.
    ///
    /// It may run again: what was taken over stays as it is.
    ///
    /// # Errors
    /// `Unsupported` by an index that reads no foreign collections; `NotFound` for an absent one; `Conflict`
    /// (`other_vectors`) where the vectors are another model's, with nothing written; those of the stores.
    pub(crate) async fn run(
        &self,
        collection: &str,
        originals: &Originals,
        only_look: bool,
        on_news: &mut OnNews<'_>,
    ) -> Result<AdoptReport> {
        let span = info_span!("photos.adopt", collection);
        async {
            let foreign = self.index.foreign(collection).await?;
            self.models.prepare().await?;
            let mut report = AdoptReport {
                total: foreign.count().await?,
                ..AdoptReport::default()
            };
            self.compare(collection, &*foreign, originals, &mut report)
                .await?;
            on_news(AdoptNews::Verified(&report));
            if only_look {
                return Ok(report);
            }
            self.models.record_adoption(collection).await?;
            let mut from = None;
            loop {
                let page = foreign.read(from.as_deref(), PAGE).await?;
                for point in page.points {
                    report.points += 1;
                    let name = point.photo_id.clone().unwrap_or_else(|| point.id.clone());
                    if let Err(error) = self.take_over(point, originals, &mut report).await {
                        if error.is_transient() {
                            return Err(error);
                        }
                        report.refused += 1;
                        on_news(AdoptNews::Refused(&name, &error));
                    }
                }
                on_news(AdoptNews::Progress(&report));
                from = page.next;
                if from.is_none() {
                    return Ok(report);
                }
            }
        }
        .instrument(span)
        .await
    }

    /// Compares vectors of photos whose originals can be read with those that the model computes.
    async fn compare(
        &self,
        collection: &str,
        foreign: &dyn ForeignCollection,
        originals: &Originals,
        report: &mut AdoptReport,
    ) -> Result<()> {
        let info = self.models.configured().describe();
        let others = |what: String| {
            Error::conflict(format!(
                "collection `{collection}` isn't the model `{}`'s: {what}",
                info.model
            ))
            .with_code("other_vectors")
        };
        if foreign.dimensions() != info.dimensions {
            let (theirs, ours) = (foreign.dimensions(), info.dimensions);
            return Err(others(format!(
                "its vectors have {theirs} dimensions, the model's {ours}"
            )));
        }
        let (mut same, mut compared) = (0, 0);
        report.least_cosine = 1.0;
        for sampled in self.sample_of(foreign, originals).await? {
            let own = match self.embed_original(&sampled.source).await {
                Ok(own) => own,
                // A file that is not a photo is reported when its point is adopted.
                Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let cosine = cosine(&own, &sampled.vector);
            compared += 1;
            same += usize::from(cosine >= SAME);
            report.least_cosine = report.least_cosine.min(cosine);
            debug!(photo_id = sampled.photo_id, cosine, "compared a vector");
        }
        report.compared = compared;
        if compared == 0 {
            return Err(Error::conflict(format!(
                "none of the photos of collection `{collection}` has an original to compare a vector with: pass \
                 --originals with their folder, as files named by their photo_id"
            ))
            .with_code("nothing_to_compare"));
        }
        if same * 10 < compared * OF_TEN {
            return Err(others(format!(
                "of {compared} photos only {same} have the vector that the model makes of them (a cosine of {SAME} or \
                 more)"
            )));
        }
        Ok(())
    }

    /// Draws from the first pages those photos whose originals can be read.
    async fn sample_of(
        &self,
        foreign: &dyn ForeignCollection,
        originals: &Originals,
    ) -> Result<Vec<Sampled>> {
        /// In how many pages a sample is looked for.
        const PAGES: usize = 20;
        let mut sample = Vec::new();
        let mut from = None;
        for _ in 0..PAGES {
            let mut page = foreign.read(from.as_deref(), PAGE).await?;
            page.points.shuffle(&mut rand::rng());
            for point in page.points {
                let (Some(photo_id), Some(vector)) = (point.photo_id, point.vector) else {
                    continue;
                };
                let Some(source) = self.source(&photo_id, originals).await? else {
                    continue;
                };
                sample.push(Sampled {
                    photo_id,
                    vector,
                    source,
                });
                if sample.len() == SAMPLE {
                    return Ok(sample);
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(sample)
    }

    async fn source(&self, photo_id: &str, originals: &Originals) -> Result<Option<Source>> {
        if let Ok(id) = photo_id.parse::<PhotoId>()
            && let Some(photo) = self.metadata.get(&id).await?
        {
            return Ok(Some(Source::Record(Box::new(photo))));
        }
        Ok(originals.get(photo_id).cloned().map(Source::File))
    }

    async fn embed_original(&self, source: &Source) -> Result<Embedding> {
        let picture = match source {
            Source::Record(photo) => {
                let size = self.models.configured().describe().decode_size;
                self.blobs.open(photo, size).await.map_err(Fault::into_error)?.0
            }
            Source::File(path) => self.search.decode_upload(self.spool.file(path).await?).await?,
        };
        embed_image(&**self.models.configured(), picture, Lane::Background).await
    }

    async fn take_over(
        &self,
        point: ForeignPoint,
        originals: &Originals,
        report: &mut AdoptReport,
    ) -> Result<()> {
        let missing = |what: &str| Error::invalid(format!("the point has no {what}"));
        let photo_id = point.photo_id.ok_or_else(|| missing("photo_id"))?;
        let user = UserId::new(point.user_id.ok_or_else(|| missing("user_id"))?)?;
        let vector = unit(point.vector.ok_or_else(|| missing("vector"))?)?;
        let photo = match self.source(&photo_id, originals).await? {
            None => {
                report.unknown += 1;
                return Ok(());
            }
            Some(Source::Record(photo)) => *photo,
            Some(Source::File(path)) => {
                let uploaded = self.take_original(&user, &photo_id, &path).await?;
                report.uploaded += 1;
                uploaded
            }
        };
        if photo.user_id != user {
            return Err(Error::invalid("the photo is another user's here"));
        }
        if photo.state == PhotoState::Deleting {
            return Err(Error::invalid("the photo is being deleted"));
        }
        let index = &self.index;
        let collection = self.models.collection();
        if index.vector(collection, &photo.id).await?.is_none() {
            let point = Point::of_photo(&photo, vector);
            index.upsert(collection, &[point]).await?;
        }
        report.adopted += 1;
        Ok(())
    }

    /// Takes an original in under the id that it had, where that is a UUID, else under a new one.
    async fn take_original(&self, user: &UserId, photo_id: &str, path: &Path) -> Result<Photo> {
        let spool = self.spool.file(path).await?;
        let details = UploadDetails {
            filename: path.file_name().map(|name| name.to_string_lossy().into_owned()),
            ..UploadDetails::default()
        };
        let id = photo_id.parse().unwrap_or_else(|_| PhotoId::generate());
        let uploaded = self.intake.upload_as(id, user, spool, details).await?;
        Ok(uploaded.photo().clone())
    }
}

/// Brings a vector to unit length.
fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if !length.is_normal() {
        return Err(Error::invalid("the point's vector has no direction"));
    }
    vector.iter_mut().for_each(|x| *x /= length);
    Ok(vector)
}

/// Compares two vectors, the first of unit length; both `(dimensions,)` f32.
fn cosine(own: &[f32], theirs: &[f32]) -> f32 {
    let length = theirs.iter().map(|x| x * x).sum::<f32>().sqrt();
    let product: f32 = own.iter().zip(theirs).map(|(a, b)| a * b).sum();
    if length.is_normal() { product / length } else { 0.0 }
}
