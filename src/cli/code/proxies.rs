//! The proxies of the environment, past which requests have to go to a Dagway on this machine: a proxy would look for
//! 127.0.0.1 on its own. It must not know who sends them.

use reqwest::Url;

/// Where Claude Code reads which proxy to ask, for plain HTTP too.
const PROXIES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"];
/// Where it is said whom to reach without one. Programs differ in which of the two they read.
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The variables by which a program reaches `url` without a proxy: those of the environment, and its host besides.
pub(super) fn exceptions(
    environment: &[(String, String)],
    url: &str,
) -> Vec<(&'static str, String)> {
    let hosts = spellings(url);
    let given = EXCEPTIONS.map(|name| variable(environment, name));
    let [lower, upper] = given;
    let mut variables = Vec::new();
    for (name, own) in EXCEPTIONS.into_iter().zip(given) {
        // One that is made anew must not hide what the other says.
        let listed = own.or(lower).or(upper).unwrap_or_default();
        let mut entries: Vec<&str> = entries(listed).collect();
        if !entries.contains(&"*") {
            let hosts = hosts.iter().map(String::as_str);
            entries.extend(hosts.filter(|host| !self::entries(listed).any(|one| one == *host)));
        }
        variables.push((name, entries.join(",")));
    }
    variables
}

/// The variable of a proxy that Claude Code would ask for `url`, if it were started by hand in this environment, and what
/// would have to be among the exceptions.
pub(in crate::cli) fn in_between(
    environment: &[(String, String)],
    url: &str,
) -> Option<(&'static str, String)> {
    let mut proxies = PROXIES.into_iter();
    let proxy = proxies.find(|name| variable(environment, name).is_some())?;
    let hosts = spellings(url);
    let excepts = |listed: &str| {
        entries(listed).any(|entry| entry == "*" || hosts.iter().any(|host| host == entry))
    };
    let mut given = EXCEPTIONS
        .iter()
        .filter_map(|name| variable(environment, name));
    // The first counts, in whichever order a program reads them, so all have to say it.
    let first = given.next();
    let is_excepted = first.is_some_and(excepts) && given.all(excepts);
    (!is_excepted).then(|| (proxy, hosts.join(",")))
}

fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut all = environment.iter();
    let found = all.find(|(other, value)| other == name && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}

fn entries(listed: &str) -> impl Iterator<Item = &str> {
    listed.split(is_between).filter(|entry| !entry.is_empty())
}

fn is_between(sign: char) -> bool {
    sign == ',' || sign.is_whitespace()
}

/// The host of a URL as programs look for it in a list: an address of IPv6 with its brackets, or without them.
fn spellings(url: &str) -> Vec<String> {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let bare = host.trim_matches(['[', ']']);
    let mut spellings = vec![host.to_owned()];
    if bare != host {
        spellings.push(bare.to_owned());
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "http://127.0.0.1:4000";

    fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = variables.iter();
        owned
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_reached_without_a_proxy_stays_so_and_dagway_is_added_once() {
        for (variables, url, [lower, upper]) in [
            (&[][..], HERE, ["127.0.0.1"; 2]),
            (&[("NO_PROXY", "a.test")], HERE, ["a.test,127.0.0.1"; 2]),
            (
                &[("no_proxy", "a.test, .b")],
                HERE,
                ["a.test,.b,127.0.0.1"; 2],
            ),
            (
                &[("NO_PROXY", "a.test"), ("no_proxy", "127.0.0.1 b.test")],
                HERE,
                ["127.0.0.1,b.test", "a.test,127.0.0.1"],
            ),
            (&[("NO_PROXY", "*")], HERE, ["*"; 2]),
            (&[("NO_PROXY", "")], "http://10.0.0.7:80", ["10.0.0.7"; 2]),
            (
                &[("NO_PROXY", "a")],
                "http://[::1]:4000",
                ["a,[::1],::1"; 2],
            ),
        ] {
            let expected = [
                ("no_proxy", lower.to_owned()),
                ("NO_PROXY", upper.to_owned()),
            ];
            assert_eq!(exceptions(&environment(variables), url), expected);
        }
    }

    #[test]
    fn a_proxy_stands_in_between_unless_all_that_is_said_excepts_dagway() {
        for (variables, expected) in [
            (&[][..], None),
            (&[("HTTPS_PROXY", "")], None),
            (&[("HTTPS_PROXY", "http://p")], Some("HTTPS_PROXY")),
            (&[("http_proxy", "http://p")], Some("http_proxy")),
            (
                &[("http_proxy", "http://p"), ("NO_PROXY", "localhost")],
                Some("http_proxy"),
            ),
            (
                &[("http_proxy", "http://p"), ("NO_PROXY", "a, 127.0.0.1")],
                None,
            ),
            (&[("http_proxy", "http://p"), ("no_proxy", "*")], None),
            (
                &[
                    ("http_proxy", "http://p"),
                    ("NO_PROXY", "*"),
                    ("no_proxy", "a"),
                ],
                Some("http_proxy"),
            ),
        ] {
            let expected = expected.map(|proxy| (proxy, "127.0.0.1".to_owned()));
            let found = in_between(&environment(variables), HERE);
            assert_eq!(found, expected, "{variables:?}");
        }
    }
}
