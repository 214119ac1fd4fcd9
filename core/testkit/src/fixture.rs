//! A part under test, with whatever must live as long as it does.

use std::any::Any;
use std::sync::Arc;

use lucida_core::config::IntoPart;

/// A new, empty part and what it stands on, such as a temporary folder.
pub struct Fixture<P: ?Sized> {
    /// The part.
    pub part: Arc<P>,
    keep: Vec<Box<dyn Any + Send + Sync>>,
}

impl<P: ?Sized> Fixture<P> {
    /// Wraps a backend.
    pub fn new(part: impl IntoPart<P>) -> Self {
        Self::from_arc(part.into_part())
    }

    /// Wraps a part that is shared already.
    #[must_use]
    pub fn from_arc(part: Arc<P>) -> Self {
        Self {
            part,
            keep: Vec::new(),
        }
    }

    /// Keeps a thing until the part is dropped.
    #[must_use]
    pub fn keeping(mut self, thing: impl Any + Send + Sync) -> Self {
        self.keep.push(Box::new(thing));
        self
    }
}
