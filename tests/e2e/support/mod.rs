//! What every end-to-end test stands on.

mod claude;
mod page;
mod program;
mod stage;

pub(crate) use claude::{Claude, Told};
pub(crate) use page::Page;
pub(crate) use program::{Ended, Program, free_port, in_this_folder, needed};
pub(crate) use stage::{Lane, Stage};
