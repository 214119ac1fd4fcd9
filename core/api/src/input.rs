//! Inputs to embed: texts, and pictures inside of JSON.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use lucida_core::{Deadline, EmbedderInfo, Embedding, Embeddings, Error, Result, TextOptions};

use crate::field::invalid;

/// How many pictures of one call are decoded or wait for the model at once.
const PICTURES_AT_ONCE: usize = 8;

/// How many bytes of text a token stands for, for a model that can't count its tokens.
const BYTES_PER_TOKEN: usize = 4;

/// Base64 with or without padding: clients send both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Something to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A text.
    Text(String),
    /// A picture's file.
    Picture(Bytes),
}

/// Checks a text the way the model will, but under the name that the caller knows.
///
/// # Errors
/// `InvalidInput`: `empty_text`, `text_too_long`.
pub fn check_text(field: &str, text: &str, max_bytes: usize) -> Result<()> {
    if text.trim().is_empty() {
        let message = format!("`{field}` is empty; it must have 1 to {max_bytes} bytes");
        return Err(Error::invalid(message).with_code("empty_text").with_field(field));
    }
    if text.len() > max_bytes {
        let message = format!(
            "`{field}` has {} bytes; it must have 1 to {max_bytes}, the model's limit",
            text.len()
        );
        return Err(Error::invalid(message)
            .with_code("text_too_long")
            .with_field(field));
    }
    Ok(())
}

/// Returns whether a picture is named by a URL that has to be fetched.
#[must_use]
pub fn is_fetched(uri: &str) -> bool {
    let scheme = uri.split(':').next().unwrap_or_default();
    ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Reads a picture from a `data:` URI.
///
/// # Errors
/// `InvalidInput` (`invalid_field`), for any other URL as well: nothing is fetched here.
pub fn picture_in_data_uri(field: &str, uri: &str) -> Result<Bytes> {
    let refuse = |message: String| Err(invalid(field, message));
    let scheme = uri.split(':').next().unwrap_or_default();
    if is_fetched(uri) {
        return refuse(format!(
            "`{field}` is a URL, and URLs aren't fetched by this server: send the picture itself as \
             `data:image/jpeg;base64,…`, or add [[plugins]] with type = \"url-ingest\""
        ));
    }
    let content = uri
        .split_once(',')
        .filter(|_| scheme.eq_ignore_ascii_case("data"));
    let Some((head, content)) = content else {
        return refuse(format!(
            "`{field}` is not a picture: expected a URI like `data:image/jpeg;base64,…`"
        ));
    };
    let is_base64 = head
        .rsplit(';')
        .next()
        .is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
    if !is_base64 {
        return refuse(format!(
            "`{field}` is not in base64: expected a URI like `data:image/jpeg;base64,…`"
        ));
    }
    picture_in_base64(field, content)
}

/// Reads a picture from base64.
///
/// # Errors
/// `InvalidInput` (`invalid_field`).
pub fn picture_in_base64(field: &str, text: &str) -> Result<Bytes> {
    let decoded = BASE64.decode(text.trim());
    decoded
        .map(Bytes::from)
        .map_err(|error| invalid(field, format!("`{field}` is not valid base64: {error}")))
}

/// An input's vector, and how much text the input was.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The unit vector.
    pub embedding: Embedding,
    /// The tokens of a text, special ones and the prompt included, estimated where the model can't count them; none for a
    /// picture.
    pub tokens: usize,
}

/// Embeds texts and pictures with one model: one result for each, in order.
///
/// # Errors
/// Those of [`Embeddings::texts`]. Per item: those of [`Embeddings::texts`] and [`Embeddings::picture`].
pub async fn embed(
    embeddings: &dyn Embeddings,
    model: &EmbedderInfo,
    inputs: Vec<Input>,
    options: &TextOptions,
    deadline: &Deadline,
) -> Result<Vec<Result<Embedded>>> {
    model.check_text_options(options)?;
    let (mut texts, mut pictures) = (Vec::new(), Vec::new());
    // The length of each text; none for a picture.
    let mut lengths = Vec::with_capacity(inputs.len());
    for input in inputs {
        match input {
            Input::Text(text) => {
                lengths.push(Some(text.len()));
                texts.push(text);
            }
            Input::Picture(file) => {
                lengths.push(None);
                pictures.push(file);
            }
        }
    }
    let of_texts = async {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        embeddings.texts(&model.model, texts, options, deadline).await
    };
    let of_pictures = stream::iter(pictures)
        .map(|file| async {
            let picture = embeddings.picture(&model.model, file, deadline).await?;
            options.shorten(picture.embedding)
        })
        .buffered(PICTURES_AT_ONCE)
        .collect::<Vec<Result<Embedding>>>();
    let (of_texts, of_pictures) = futures::join!(of_texts, of_pictures);
    let (mut of_texts, mut of_pictures) = (of_texts?.into_iter(), of_pictures.into_iter());
    let missing = || Error::internal("the embedder gave no result");
    let results = lengths.into_iter().map(|length| match length {
        Some(length) => {
            let text = of_texts.next().ok_or_else(missing)??;
            Ok(Embedded {
                embedding: text.embedding,
                tokens: text.tokens.unwrap_or_else(|| length.div_ceil(BYTES_PER_TOKEN)),
            })
        }
        None => Ok(Embedded {
            embedding: of_pictures.next().ok_or_else(missing)??,
            tokens: 0,
        }),
    });
    Ok(results.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_uri_is_read_whatever_its_type_and_padding() {
        for uri in [
            "data:image/jpeg;base64,/9j/4A==",
            "data:image/jpeg;base64,/9j/4A",
            "DATA:;BASE64,/9j/4A==",
            "data:application/octet-stream;name=a.jpg;base64,/9j/4A==\n",
        ] {
            let picture = picture_in_data_uri("input", uri).unwrap();
            assert_eq!(&picture[..], [0xFF, 0xD8, 0xFF, 0xE0], "{uri}");
        }
    }

    #[test]
    fn what_is_no_data_uri_is_refused_with_the_form_that_is_read() {
        for (uri, words) in [
            ("https://example.com/a.jpg", "aren't fetched"),
            ("HTTP://example.com/a.jpg", "aren't fetched"),
            ("ftp://example.com/a,b", "not a picture"),
            ("a.jpg", "not a picture"),
            ("data:image/jpeg", "not a picture"),
            ("data:image/jpeg,abc", "not in base64"),
            ("data:image/jpeg;base64,/9j/4*==", "not valid base64"),
        ] {
            let error = picture_in_data_uri("input[0]", uri).unwrap_err();
            assert!(error.message().contains(words), "{uri}: {error}");
            assert_eq!((error.code(), error.field()), ("invalid_field", Some("input[0]")));
        }
    }
}
