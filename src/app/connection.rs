//! A client's connection, as the system sees it.
//!
//! Connections come in bursts: a load balancer that fails over, a thousand agents that begin together. Those that the
//! queue of an address cannot hold are dropped by the system, which a client sees as a second lost, or as a reset.
//!
//! A client that reads nothing, or whose machine has gone without a word, stops an answer where it is: nothing asks the
//! answer for more, so no clock of the answer's own would run. The system's clock does.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::rt::net::{TcpSocket, TcpStream};

/// How many connections may wait to be accepted. The system has a limit of its own (`net.core.somaxconn`), and the
/// standard library asks for 128.
const WAITING_CONNECTIONS: u32 = 4096;

/// Takes an address. Nobody can connect to it before it is listened on.
///
/// Two that take one address at the same moment may both have it on Linux; then the second to listen is told.
///
/// # Errors
/// When the address is not this machine's, is taken, or is not for everyone to take.
pub(super) fn take(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Else a restart would have to wait until the last connections are forgotten; elsewhere it would let two servers
    // take one address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Lets connections to the address that was taken wait until they are accepted. It must be called within a runtime.
///
/// # Errors
/// When somebody else listens there.
pub(super) fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(WAITING_CONNECTIONS)?.into_std()
}

/// Why an address cannot be listened on, and what helps.
pub(super) fn why_not(error: &io::Error) -> String {
    let cure = match error.kind() {
        ErrorKind::AddrInUse => {
            "it is in use; end the program that uses it (`dagway doctor` tells whether that is Dagway), or choose another"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; choose 127.0.0.1, another that it has, or 0.0.0.0 for all of them"
        }
        ErrorKind::PermissionDenied => {
            "this user may not have that port, as most of those below 1024; choose a higher one"
        }
        _ => return format!("{error}; choose another with DAGWAY_LISTEN or --listen"),
    };
    format!("{cure}, with DAGWAY_LISTEN or --listen")
}

/// Has the system close the connection when what was sent is not taken for so long; then the run is cancelled as with
/// any client that hangs up.
///
/// It is `TCP_USER_TIMEOUT`, which counts a closed window and missing acknowledgements alike
/// (<https://man7.org/linux/man-pages/man7/tcp.7.html>).
#[cfg(target_os = "linux")]
pub(super) fn end_when_stalled(connection: &dyn Any, after: Duration) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else {
        return;
    };
    let socket = socket2::SockRef::from(stream);
    if let Err(error) = socket.set_tcp_user_timeout(Some(after)) {
        tracing::debug!(%error, "a connection has no time limit");
    }
}

/// Only Linux has such a clock.
#[cfg(not(target_os = "linux"))]
pub(super) fn end_when_stalled(_connection: &dyn Any, _after: Duration) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::StartError;

    /// More than the standard library's queue holds.
    const BURST: usize = 400;

    #[test]
    fn an_address_that_cannot_be_had_has_the_cure_for_its_fault() {
        let address: SocketAddr = "10.9.9.9:80".parse().unwrap();
        for (kind, expected) in [
            (ErrorKind::AddrInUse, "it is in use; end the program"),
            (
                ErrorKind::AddrNotAvailable,
                "this machine has no such address",
            ),
            (ErrorKind::PermissionDenied, "choose a higher one"),
            (ErrorKind::OutOfMemory, "out of memory"),
        ] {
            let source = kind.into();
            let said = StartError::Listen { address, source }.to_string();
            assert!(said.starts_with("cannot listen on 10.9.9.9:80: "), "{said}");
            assert!(
                said.contains(expected) && said.contains("DAGWAY_LISTEN"),
                "{said}"
            );
            let is_in_use = kind == ErrorKind::AddrInUse;
            assert_eq!(said.contains("end the program"), is_in_use, "{said}");
        }
    }

    #[tokio::test]
    async fn a_burst_of_connections_waits_until_it_is_accepted() {
        let address = listen(take("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let (there, longest) = (address.local_addr().unwrap(), Duration::from_secs(20));
        let mut connections = Vec::new();
        for number in 0..BURST {
            let connection = tokio::time::timeout(longest, TcpStream::connect(there)).await;
            let connection = connection.unwrap_or_else(|_| panic!("connection {number} waits"));
            connections.push(connection.unwrap());
        }
        assert_eq!(connections.len(), BURST);
        address.set_nonblocking(true).unwrap();
        for number in 0..BURST {
            let accepted = address.accept();
            assert!(accepted.is_ok(), "connection {number} was lost");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_lets_nobody_in_before_it_is_listened_on() {
        let socket = take("127.0.0.1:0".parse().unwrap()).unwrap();
        let there = socket.local_addr().unwrap();
        let refused = TcpStream::connect(there).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let _address = listen(socket).unwrap();
        TcpStream::connect(there).await.unwrap();
        let second = take(there).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::AddrInUse);
    }
}
