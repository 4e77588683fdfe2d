//! Server-sent events as bytes: see the HTML standard, section 9.2.
