//! Where the bytes of an image or a document are, and the block types made of them.

use super::block::{Block, TextBlock};
use super::cursor::{Cursor, Kind};
use super::invalid::InvalidRequest;
use super::media;
use super::options::{CacheControl, unknown_tag};
use super::raw::RawStr;

type Parsed<T> = Result<T, InvalidRequest>;

/// The source of an image or a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Source<'a> {
    /// The bytes themselves, in base64.
    Base64 {
        /// Such as `image/png` or `application/pdf`.
        media_type: RawStr<'a>,
        /// The base64 text.
        data: RawStr<'a>,
    },
    /// To be fetched by the provider.
    Url(RawStr<'a>),
    /// Plain text (documents only).
    Text(RawStr<'a>),
    /// Text and image blocks (documents only).
    Blocks(Vec<Block<'a>>),
}

/// A `document` block.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<'a> {
    /// What it holds.
    pub source: Source<'a>,
    /// Its title.
    pub title: Option<RawStr<'a>>,
    /// What the client says about it.
    pub context: Option<RawStr<'a>>,
    /// Whether the answer shall cite it.
    pub citations: bool,
    /// A cache breakpoint.
    pub cache: Option<CacheControl>,
}

/// A `search_result` block.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResult<'a> {
    /// The page's title.
    pub title: RawStr<'a>,
    /// The page's address.
    pub source: RawStr<'a>,
    /// What was found there.
    pub content: Vec<TextBlock<'a>>,
    /// Whether the answer shall cite it.
    pub citations: bool,
    /// A cache breakpoint.
    pub cache: Option<CacheControl>,
}

/// What stands under a block's `source`: the type of the block says later whether it may.
#[derive(Debug)]
pub(super) enum AnySource<'a> {
    Name(RawStr<'a>),
    Source(Source<'a>),
}

const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

impl<'a> AnySource<'a> {
    pub(super) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        if cursor.kind() == Kind::String {
            return cursor.string().map(Self::Name);
        }
        Source::parse(cursor).map(Self::Source)
    }

    /// The source of a search result.
    pub(super) fn name(self) -> Parsed<RawStr<'a>> {
        match self {
            Self::Name(name) => Ok(name),
            Self::Source(_) => Err(InvalidRequest::at(
                "source",
                "Input should be a valid string",
            )),
        }
    }

    /// The source of an image.
    pub(super) fn image(self) -> Parsed<Source<'a>> {
        match self.source()? {
            Source::Base64 { media_type, .. } if !IMAGE_TYPES.contains(&media_type.escaped()) => {
                Err(InvalidRequest::at(
                    "source.media_type",
                    "Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
                ))
            }
            Source::Base64 { media_type, data } => match media::seen(data) {
                Some(seen) if seen != media_type.escaped() => Err(InvalidRequest::at(
                    "source",
                    format!(
                        "The image was specified using the {} media type, but the image appears to be a {seen} file",
                        media_type.escaped()
                    ),
                )),
                _ => Ok(Source::Base64 { media_type, data }),
            },
            Source::Text(_) => Err(unknown_tag("text", "'base64', 'url', 'file'").within("source")),
            Source::Blocks(_) => {
                Err(unknown_tag("content", "'base64', 'url', 'file'").within("source"))
            }
            source @ Source::Url(_) => Ok(source),
        }
    }

    /// The source of a document.
    pub(super) fn document(self) -> Parsed<Source<'a>> {
        match self.source()? {
            Source::Base64 { media_type, .. } if media_type.escaped() != "application/pdf" => Err(
                InvalidRequest::at("source.media_type", "Input should be 'application/pdf'"),
            ),
            Source::Base64 { media_type, data } => match media::seen(data) {
                Some(seen) if seen != "application/pdf" => Err(InvalidRequest::at(
                    "source",
                    format!("The PDF specified was not valid: it appears to be a {seen} file"),
                )),
                _ => Ok(Source::Base64 { media_type, data }),
            },
            source => Ok(source),
        }
    }

    fn source(self) -> Parsed<Source<'a>> {
        match self {
            Self::Source(source) => match source.fault() {
                None => Ok(source),
                Some(fault) => Err(fault.within("source")),
            },
            Self::Name(_) => Err(InvalidRequest::at(
                "source",
                "Input should be a valid dictionary",
            )),
        }
    }
}

impl<'a> Source<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut kind = None;
        let mut media_type = None;
        let mut data = None;
        let mut url = None;
        let mut content = None;
        cursor.object(|cursor, key| {
            match key.as_ref() {
                "type" => kind = Some(cursor.text()?),
                "media_type" => media_type = cursor.nullable(Cursor::string)?,
                "data" => data = cursor.nullable(Cursor::string)?,
                "url" => url = cursor.nullable(Cursor::string)?,
                "content" => content = Some(Block::parse_content(cursor)?),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        let kind = kind.ok_or_else(|| InvalidRequest::missing("type"))?;
        match kind.as_ref() {
            "base64" => Ok(Self::Base64 {
                media_type: media_type.ok_or_else(|| InvalidRequest::missing("media_type"))?,
                data: data.ok_or_else(|| InvalidRequest::missing("data"))?,
            }),
            "url" => url
                .map(Self::Url)
                .ok_or_else(|| InvalidRequest::missing("url")),
            "text" => data
                .map(Self::Text)
                .ok_or_else(|| InvalidRequest::missing("data")),
            "content" => content
                .map(Self::Blocks)
                .ok_or_else(|| InvalidRequest::missing("content")),
            "file" => Err(InvalidRequest::here(
                "files uploaded to Anthropic cannot be read by other providers: send the content as `base64` or `url` instead of a `file_id`",
            )),
            other => Err(unknown_tag(
                other,
                "'base64', 'url', 'text', 'content', 'file'",
            )),
        }
    }
}

impl Source<'_> {
    /// Why no provider could read it.
    fn fault(&self) -> Option<InvalidRequest> {
        match self {
            Self::Base64 { data, .. } if !media::is_base64(*data) => {
                Some(InvalidRequest::at("data", "Invalid base64 data"))
            }
            Self::Url(url) if !is_in_the_web(*url) => Some(InvalidRequest::at(
                "url",
                "Input should be a URL that begins with `https://` or `http://`",
            )),
            _ => None,
        }
    }
}

fn is_in_the_web(url: RawStr<'_>) -> bool {
    let url = url.decode();
    ["https://", "http://"].iter().any(|scheme| {
        let start = url.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}
