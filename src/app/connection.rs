//! A client's connection, as the system sees it.
//!
//! A client that reads nothing, or whose machine has gone without a word, stops an answer where it is: nothing asks the
//! answer for more, so no clock of the answer's own would run. The system's clock does.

use std::any::Any;
use std::time::Duration;

use actix_web::rt::net::TcpStream;

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
