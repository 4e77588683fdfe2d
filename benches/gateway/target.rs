//! What a load is sent to: the upstream itself, or what stands before it.

use std::net::SocketAddr;

use crate::bodies::{Body, Size};
use crate::cpu::Meter;

/// The ways to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Way {
    Direct,
    Nginx,
    /// Dagway's HTTP libraries with nothing between them.
    Bare,
    Dagway,
    /// Another build of Dagway, from `--also`.
    Also,
}

/// One way to the upstream, ready to be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) way: Way,
    pub(crate) address: SocketAddr,
    /// The process on the way; directly there is none.
    pub(crate) meter: Option<Meter>,
}

impl Way {
    pub(crate) const ALL: [Self; 5] = [
        Self::Direct,
        Self::Nginx,
        Self::Bare,
        Self::Dagway,
        Self::Also,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Bare => "bare",
            Self::Dagway => "dagway",
            Self::Also => "also",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Direct | Self::Nginx | Self::Bare => "/api/v1/chat/completions",
            Self::Dagway | Self::Also => "/v1/messages?beta=true",
        }
    }

    /// What stands at the very end of a complete stream.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Direct | Self::Nginx | Self::Bare => "[DONE]",
            Self::Dagway | Self::Also => "message_stop",
        }
    }
}

impl Target {
    /// The whole request, head and body, as it is written to the socket.
    pub(crate) fn request(&self, size: Size, stream: bool) -> Body {
        let body = size.body(stream);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Accept: application/json\r\nAuthorization: Bearer bench\r\nUser-Agent: dagway-bench\r\n\
             anthropic-version: 2023-06-01\r\nanthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\n\r\n",
            self.way.path(),
            self.address,
            body.bytes.len()
        );
        let nonce = head.len() + body.nonce.start..head.len() + body.nonce.end;
        let mut bytes = head.into_bytes();
        bytes.extend(body.bytes);
        Body { bytes, nonce }
    }
}
