//! The composition root: the only place that knows every module.
//!
//! Start: settings → store → upstream → plans → observers → server. Stop: the same backwards, so that nothing is lost.

pub mod plans;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App as ActixApp, HttpServer, middleware, web};
use arc_swap::ArcSwap;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::cli::Failure;
use crate::dashboard::Dashboard;
use crate::engine::{EventSink, Observer, event_queue};
use crate::server::guard::{self, Guard};
use crate::server::health::Probe;
use crate::server::{Gateway, routes};
use crate::settings::Settings;
use crate::upstream::{self, Client, Models};
use crate::{store, telemetry};
