//! A figure that somebody else keeps, read whenever `/metrics` is asked for.

/// A name, a sentence about it and the way to read it.
pub struct Probe {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) read: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Probe {
    /// Describes a figure. A name that ends in `_total` is that of a counter, which never falls; any other that of a
    /// gauge.
    pub fn new(
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            help,
            read: Box::new(read),
        }
    }

    pub(super) fn is_counter(&self) -> bool {
        self.name.ends_with("_total")
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Probe").field(&self.name).finish()
    }
}
