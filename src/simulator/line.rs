//! A second hold on a connection, with which it can be torn down in the middle of a request.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;

use tokio::net::TcpStream;

/// The hold; it lives as long as its connection.
#[derive(Debug)]
pub(super) struct Line(std::net::TcpStream);

impl Line {
    /// Takes hold of a connection.
    pub(super) fn of(stream: &TcpStream) -> Option<Self> {
        let held = stream.as_fd().try_clone_to_owned().ok()?;
        Some(Self(std::net::TcpStream::from(held)))
    }

    /// Lets the server see the end of the client's side; when it then closes, the client gets a reset.
    pub(super) fn reset(&self) -> io::Result<()> {
        let stream = TcpStream::from_std(self.0.try_clone()?)?;
        stream.set_zero_linger()?;
        self.0.shutdown(Shutdown::Read)
    }
}
