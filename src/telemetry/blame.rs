//! The kinds of errors that clients are told, and whose they are.
//!
//! This file must not know what a run is.

/// All kinds, in Anthropic's words: what is none of these is counted as `other`, so that there is a line for each at most.
pub const KINDS: [&str; 11] = [
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
];

/// Whether who asked has to change what was asked. A key that is refused in a run is not the client's, whose own starts no
/// run, but that for the upstream.
pub(super) fn is_the_clients(kind: &str) -> bool {
    matches!(
        kind,
        "invalid_request_error" | "not_found_error" | "request_too_large"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_mistakes_are_those_that_it_can_mend() {
        let mistakes = KINDS.into_iter().filter(|kind| is_the_clients(kind));
        assert_eq!(
            Vec::from_iter(mistakes),
            [
                "invalid_request_error",
                "not_found_error",
                "request_too_large"
            ]
        );
    }
}
