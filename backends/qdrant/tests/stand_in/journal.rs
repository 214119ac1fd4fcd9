//! The changes that were acknowledged, in order, in a file.
//!
//! A record is a byte for its kind, and the request as it came, behind its length. A SIGKILL can cut off the last
//! one, which was not acknowledged then.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use prost::Message;
use prost::bytes::{Buf, BufMut};
use qdrant_client::qdrant::{
    ChangeAliases, CreateCollection, CreateFieldIndexCollection, DeleteCollection, DeletePoints, UpsertPoints,
};

/// A request that changes something.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    CreateCollection(Box<CreateCollection>),
    DeleteCollection(DeleteCollection),
    Aliases(ChangeAliases),
    CreateIndex(CreateFieldIndexCollection),
    Upsert(UpsertPoints),
    Delete(DeletePoints),
}

impl Change {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::CreateCollection(request) => record(1, &**request),
            Self::DeleteCollection(request) => record(2, request),
            Self::Aliases(request) => record(3, request),
            Self::CreateIndex(request) => record(4, request),
            Self::Upsert(request) => record(5, request),
            Self::Delete(request) => record(6, request),
        }
    }

    /// Takes the next record off `bytes`; `None` where it was cut off.
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        fn request<M: Message + Default>(bytes: &mut &[u8]) -> Option<M> {
            M::decode_length_delimited(bytes).ok()
        }
        if !bytes.has_remaining() {
            return None;
        }
        match bytes.get_u8() {
            1 => request(bytes).map(|request| Self::CreateCollection(Box::new(request))),
            2 => request(bytes).map(Self::DeleteCollection),
            3 => request(bytes).map(Self::Aliases),
            4 => request(bytes).map(Self::CreateIndex),
            5 => request(bytes).map(Self::Upsert),
            6 => request(bytes).map(Self::Delete),
            _ => None,
        }
    }
}

fn record(kind: u8, request: &impl Message) -> Vec<u8> {
    let mut record = vec![];
    record.put_u8(kind);
    record.extend(request.encode_length_delimited_to_vec());
    record
}

/// A journal open for writing.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    /// Opens the journal in a folder, or starts one; returns the changes in it too.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Vec<Change>)> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("journal");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let bytes = std::fs::read(&path)?;
        let mut left = bytes.as_slice();
        let mut changes = Vec::new();
        let mut end = 0;
        while let Some(change) = Change::decode(&mut left) {
            changes.push(change);
            end = bytes.len() - left.len();
        }
        file.set_len(end as u64)?;
        file.seek(SeekFrom::End(0))?;
        Ok((Self(file), changes))
    }

    /// Adds a change. It is then in the system's memory, which the death of this process doesn't touch.
    pub(crate) fn append(&mut self, change: &Change) -> io::Result<()> {
        self.0.write_all(&change.encode())
    }
}
