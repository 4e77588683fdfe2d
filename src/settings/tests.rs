//! What is read from defaults, file and environment, and what is said when it is wrong.

use std::io::Write;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn fails(pairs: &[(&str, &str)]) -> String {
    read(None, &environment(pairs)).unwrap_err().to_string()
}

#[test]
fn what_kubernetes_says_of_a_service_named_dagway_is_no_setting() {
    let told = [
        ("DAGWAY_SERVICE_HOST", "10.0.0.11"),
        ("DAGWAY_SERVICE_PORT", "4000"),
        ("DAGWAY_SERVICE_PORT_HTTP", "4000"),
        ("DAGWAY_PORT", "tcp://10.0.0.11:4000"),
        ("DAGWAY_PORT_4000_TCP_ADDR", "10.0.0.11"),
    ];
    let settings = read(None, &environment(&told)).unwrap();
    let listen = Settings::defaults().unwrap().server.listen;
    assert_eq!(settings.server.listen, listen);
}

#[test]
fn the_defaults_are_valid_and_complete() {
    let settings = Settings::defaults().unwrap();
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:4000");
    let openrouter = &settings.upstreams["openrouter"];
    assert_eq!(openrouter.base_url, "https://openrouter.ai/api/v1");
    assert_eq!(settings.models.rules[0].lane, Some(Lane::Native));
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(
        file,
        "[server]\nlisten = '127.0.0.1:1'\nworkers = 7\n[models.aliases]\nmine = 'a/b'\n"
    )
    .unwrap();
    let variables = environment(&[
        ("DAGWAY_LISTEN", "127.0.0.1:2"),
        ("DAGWAY_STORE_PAYLOADS", "false"),
    ]);
    let settings = read(Some(file.path()), &variables).unwrap();
    assert_eq!(settings.server.listen.port(), 2);
    assert_eq!(settings.server.workers, 7);
    assert!(!settings.store.payloads);
    assert_eq!(settings.models.aliases.get("mine").unwrap(), "a/b");
    assert!(settings.models.aliases.contains_key("opus"));
}

#[test]
fn a_wrong_setting_is_a_sentence_with_place_and_cure() {
    let named = read(None, &environment(&[("DAGWAY_LISTEN", "localhost:4321")]));
    assert_eq!(named.unwrap().server.listen.to_string(), "127.0.0.1:4321");
    insta::assert_snapshot!(fails(&[("DAGWAY_LISTEN", "localhost")]), @"the variable DAGWAY_LISTEN: the setting `server.listen` is wrong: `localhost` is not an IP address with a port, such as 127.0.0.1:4000");
    insta::assert_snapshot!(fails(&[("DAGWAY_UPSTREAM_IDLE_TIMEOUT", "240")]), @"the variable DAGWAY_UPSTREAM_IDLE_TIMEOUT: the setting `upstream.idle_timeout` is wrong: `240` is not a time; write it with its unit, such as 250ms, 30s, 1m30s, 12h or 14d");
    insta::assert_snapshot!(fails(&[("DAGWAY_SERVER_LISTENN", "x")]), @"the variable DAGWAY_SERVER_LISTENN: there is no setting `server.listenn` (did you mean DAGWAY_SERVER_LISTEN?); `dagway settings` lists all of them");
    insta::assert_snapshot!(fails(&[("DAGWAY_SERVER_WORKERS", "many")]), @r#"the variable DAGWAY_SERVER_WORKERS: the setting `server.workers` is wrong: `many` is not a whole number from 0 to 512"#);
    insta::assert_snapshot!(fails(&[("OPENROUTER_BASE_URL", "openrouter.ai")]), @"the variable OPENROUTER_BASE_URL: the setting `upstreams.openrouter.base_url` is wrong: `openrouter.ai` is no http or https URL, such as https://openrouter.ai/api/v1");
}

/// A variable, a value beyond its range, and what is said.
const TOO_MUCH: &[(&str, &str, &str)] = &[
    (
        "DAGWAY_SERVER_WORKERS",
        "100000",
        "`100000` is not a whole number from 0 to 512",
    ),
    (
        "DAGWAY_SERVER_WORKERS",
        "-1",
        "`-1` is not a whole number from 0 to 512",
    ),
    (
        "DAGWAY_SERVER_BODY_LIMIT_MB",
        "0",
        "`0` is not a whole number from 1 to 1024",
    ),
    (
        "DAGWAY_SERVER_BODY_LIMIT_MB",
        "1.5",
        "`1.5` is not a whole number from 1 to 1024",
    ),
    (
        "DAGWAY_STORE_KEEP_MB",
        "17592186044416",
        "from 1 to 1000000000",
    ),
    (
        "DAGWAY_STORE_PREVIEW_KB",
        "18014398509481984",
        "from 0 to 65536",
    ),
    (
        "DAGWAY_STORE_KEEP_FOR",
        "99999999999h",
        "`99999999999h` is not",
    ),
    (
        "DAGWAY_STORE_KEEP_FOR",
        "876001h",
        "`876001h` is not between 1ms and 876000h",
    ),
    (
        "DAGWAY_UPSTREAM_IDLE_TIMEOUT",
        "1ns",
        "`1ns` is not between 1ms and 876000h",
    ),
    (
        "DAGWAY_SERVER_SHUTDOWN_GRACE",
        "0s",
        "`0s` is not between 1ms and 876000h",
    ),
    (
        "DAGWAY_SERVER_DRAIN_DELAY",
        "876001h",
        "`876001h` is not between 0s and 876000h",
    ),
    ("DAGWAY_SERVER_PING_AFTER", "1ms", "100ms is the least"),
    (
        "DAGWAY_UPSTREAM_CATALOGUE_REFRESH",
        "5ms",
        "1s is the least",
    ),
    (
        "DAGWAY_LISTEN",
        "127.0.0.1:65536",
        "is not an IP address with a port",
    ),
];

#[test]
fn a_number_that_a_library_would_choke_on_is_a_sentence() {
    for (variable, value, expected) in TOO_MUCH.iter().copied() {
        let said = fails(&[(variable, value)]);
        assert!(said.contains(expected) && said.contains(variable), "{said}");
    }
    let most = environment(&[
        ("DAGWAY_SERVER_WORKERS", "512"),
        ("DAGWAY_STORE_KEEP_FOR", "876000h"),
    ]);
    assert_eq!(read(None, &most).unwrap().server.workers, 512);
    let fortnight = read(None, &environment(&[("DAGWAY_STORE_KEEP_FOR", "14d")]));
    let usual = Settings::defaults().unwrap().store.keep_for;
    assert_eq!(fortnight.unwrap().store.keep_for, usual);
}

#[test]
fn a_switch_takes_the_words_that_people_type() {
    for (word, is_on) in [
        ("yes", true),
        ("1", true),
        ("On", true),
        ("no", false),
        ("0", false),
        ("off", false),
    ] {
        let settings = read(None, &environment(&[("DAGWAY_STORE_PAYLOADS", word)])).unwrap();
        assert_eq!(settings.store.payloads, is_on, "{word}");
    }
    insta::assert_snapshot!(fails(&[("DAGWAY_STORE_PAYLOADS", "maybe")]), @"the variable DAGWAY_STORE_PAYLOADS: the setting `store.payloads` is wrong: `maybe` is not true or false");
}

#[test]
fn a_variable_that_names_no_single_setting_is_a_sentence() {
    insta::assert_snapshot!(fails(&[("DAGWAY_SERVER", "1")]), @"the variable DAGWAY_SERVER: `server` is a section, not a setting; name one of its settings, such as DAGWAY_SERVER_ANSWER_AFTER");
    insta::assert_snapshot!(fails(&[("DAGWAY_NOTHING", "1")]), @"the variable DAGWAY_NOTHING: there is no setting `nothing`; `dagway settings` lists all of them");
    let fallbacks = fails(&[("DAGWAY_MODELS_FALLBACKS", "x")]);
    assert!(
        fallbacks.contains("a variable cannot hold it"),
        "{fallbacks}"
    );
    insta::assert_snapshot!(fails(&[("DAGWAY_MODELS_RULES", "x")]), @"the variable DAGWAY_MODELS_RULES: the setting `models.rules` is wrong: a variable cannot hold it; write it into a file and start with `dagway --config FILE` (`dagway settings` shows how it is written)");
    for variable in [
        "DAGWAY_UPSTREAMS",
        "DAGWAY_UPSTREAMS_LOCAL_BASE_URL",
        "DAGWAY_MODELS_ALIASES",
    ] {
        let said = fails(&[(variable, "x")]);
        assert!(
            said.contains(variable) && said.contains("--config FILE"),
            "{said}"
        );
    }
}

#[test]
fn what_would_never_work_is_refused() {
    for (variable, value, expected) in [
        (
            "OPENROUTER_BASE_URL",
            "http://x/v1?x=1",
            "leave that part out",
        ),
        (
            "OPENROUTER_BASE_URL",
            "http://x/v1#x",
            "leave that part out",
        ),
        ("OPENROUTER_BASE_URL", "http://", "is no http or https URL"),
        (
            "DAGWAY_SERVER_ALLOWED_HOSTS",
            "gateway.example,http://x",
            "`http://x` is no host name",
        ),
        (
            "DAGWAY_SERVER_ALLOWED_HOSTS",
            "x:80",
            "without http://, port",
        ),
        (
            "DAGWAY_SERVER_ALLOWED_HOSTS",
            "*.x",
            "`*.x` is no host name",
        ),
        ("DAGWAY_CLIENT_KEYS", "schlüssel", "no client can send"),
        (
            "DAGWAY_TELEMETRY_TRACE_URL",
            "http://127.0.0.1:16686/trace/",
            "no address with {trace_id} in it",
        ),
        (
            "DAGWAY_TELEMETRY_TRACE_URL",
            "jaeger/{trace_id}",
            "no address with {trace_id} in it",
        ),
    ] {
        let said = fails(&[(variable, value)]);
        assert!(said.contains(expected) && said.contains(variable), "{said}");
    }
    let names = environment(&[(
        "DAGWAY_SERVER_ALLOWED_HOSTS",
        "gateway.example, [fe80::1], 10.0.0.7",
    )]);
    assert_eq!(read(None, &names).unwrap().server.allowed_hosts.len(), 3);
}

/// A file, the line that is wrong, and what is said.
const WRONG_FILES: &[(&str, usize, &str)] = &[
    (
        "[server]\nworkers = 600\n",
        2,
        "`600` is not a whole number from 0 to 512",
    ),
    (
        "[server]\nlisten = 4000\n",
        2,
        "in quotes: \"127.0.0.1:4000\"",
    ),
    (
        "[server]\nclient_keys = '12345'\n",
        2,
        "it is not a list; write it in brackets",
    ),
    (
        "[server.client_keys]\nalice = '12345'\n",
        1,
        "it is not a list; write it in brackets",
    ),
    (
        "[server]\nclient_keys = [\n'k',\n12345]\n",
        4,
        "it is no key; write it in quotes, or as a table",
    ),
    (
        "[server]\nclient_keys = [{ name = 'a', key = 12345 }]\n",
        2,
        "it is not a text; put it in quotes",
    ),
    (
        "[server]\nclient_keys = [{ alice = '12345' }]\n",
        2,
        "it has no `alice`; it may have: name, key, key_env, key_file",
    ),
    (
        "[server]\n\n\ndashboard_password = 12345\n",
        4,
        "it is not a text; put it in quotes",
    ),
    (
        "[upstream]\nidle_timeout = 240\n",
        2,
        "a time with its unit",
    ),
    (
        "[store]\npayloads = 'yes'\n",
        2,
        "`yes` is not true or false",
    ),
    (
        "[log]\nformat = 'loud'\n",
        2,
        "`loud` is not one of: auto, pretty, json",
    ),
    (
        "[log]\nformat = 5\n",
        2,
        "one of these words, in quotes: auto, pretty, json",
    ),
    ("[log]\nlevel = 'x'\n", 2, "there is no setting `log.level`"),
    ("[models]\naliases = 'x'\n", 2, "`x` is not a table"),
    (
        "[models.aliases]\na = 5\n",
        2,
        "`5` is not a text in quotes",
    ),
    ("[models]\nrules = ['x']\n", 2, "`x` is not a table"),
    (
        "[[models.rules]]\nmatch = 'x'\n[[models.rules]]\nmatch = 'y'\nlane = 1\n",
        5,
        "in quotes: chat, native",
    ),
    (
        "[upstreams.a]\nkind = 'openai'\nbase_url = 'http://x'\nquirks = { cache_control = 'x' }\n",
        4,
        "true or false",
    ),
    (
        "[upstreams.a]\nkind = 'openai'\nbase_url = 'http://x?y'\n",
        3,
        "leave that part out",
    ),
    (
        "server = 1\n",
        1,
        "`server` is a section, not a setting; write its settings below a line of their own, `[server]`",
    ),
    (
        "\n[servr]\n",
        2,
        "there is no setting `servr` (did you mean `server`?)",
    ),
    (
        "[upstreams]\nlocal = 'http://x'\n",
        2,
        "write a line of its own, `[upstreams.local]`, and below it `kind` and `base_url`",
    ),
];

#[test]
fn a_wrong_line_of_a_file_is_named() {
    for (text, line, expected) in WRONG_FILES.iter().copied() {
        let file = file(text);
        let said = read(Some(file.path()), &[]).unwrap_err().to_string();
        let place = format!("{}:{line}: ", file.path().display());
        assert!(
            said.starts_with(&place) && said.contains(expected),
            "{text}: {said}"
        );
        assert!(
            !said.contains("expected ") && !said.contains("12345"),
            "{said}"
        );
    }
}

#[test]
fn a_number_or_a_switch_in_quotes_is_told_to_stand_without_them() {
    for (text, expected) in [
        (
            "[store]\npayloads = \"true\"\n",
            "`\"true\"` is a text and not true or false; write it without quotes",
        ),
        (
            "[server]\nworkers = \"2\"\n",
            "`\"2\"` is a text and not a whole number from 0 to 512; write it without quotes",
        ),
        (
            "[store]\npayloads = \"maybe\"\n",
            "`maybe` is not true or false",
        ),
        ("[models]\naliases = \"2\"\n", "`2` is not a table"),
        ("[server]\nallowed_hosts = \"2\"\n", "`2` is not a list"),
    ] {
        let said = read(Some(file(text).path()), &[]).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_path_that_a_shell_would_have_replaced_is_a_sentence() {
    let at_home =
        "begins with `~`, which shells alone replace by your home folder; write the path in full";
    for (variable, path) in [
        ("DAGWAY_DATA", "~/runs"),
        ("DAGWAY_DATA", "~"),
        ("DAGWAY_WORKFLOWS_FOLDER", "~/flows"),
        ("DAGWAY_DASHBOARD_PASSWORD_FILE", "~/password"),
        ("OPENROUTER_API_KEY_FILE", "~/key"),
    ] {
        let said = fails(&[(variable, path)]);
        assert!(said.contains(at_home), "{said}");
        assert!(said.contains(variable) && said.contains(path), "{said}");
    }
    let settings = read(None, &environment(&[("DAGWAY_DATA", "./~runs")])).unwrap();
    assert_eq!(settings.store.folder, Path::new("./~runs"));
}

#[test]
fn the_upstream_that_is_built_in_is_told_to_have_variables_of_its_own() {
    for (written, meant) in [
        (
            "DAGWAY_UPSTREAMS_OPENROUTER_BASE_URL",
            "OPENROUTER_BASE_URL",
        ),
        ("DAGWAY_UPSTREAMS_OPENROUTER_KEY", "OPENROUTER_API_KEY"),
    ] {
        let said = fails(&[(written, "http://a.test/v1")]);
        assert!(
            said.ends_with(&format!("its variable is {meant}; set that")),
            "{said}"
        );
    }
    let said = fails(&[("DAGWAY_UPSTREAMS_LOCAL_BASE_URL", "http://a.test/v1")]);
    assert!(said.contains("write it into a file"), "{said}");
}

#[test]
fn a_setting_outside_its_section_is_told_where_it_belongs() {
    for (text, meant) in [
        ("listen = '127.0.0.1:1'\n", "server.listen"),
        ("payloads = false\n", "store.payloads"),
        ("[serve]\nlisten = '127.0.0.1:1'\n", "server"),
    ] {
        let said = read(Some(file(text).path()), &[]).unwrap_err().to_string();
        assert!(
            said.contains(&format!("(did you mean `{meant}`?)")),
            "{said}"
        );
    }
    let said = fails(&[("DAGWAY_SERVER", "x")]);
    assert!(!said.contains("did you mean `"), "{said}");
}

#[test]
fn colours_are_for_who_wants_them_and_has_them() {
    for (variables, expected) in [
        (&[][..], true),
        (&[("TERM", "xterm")], true),
        (&[("NO_COLOR", "")], true),
        (&[("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ] {
        let value = |wanted: &str| {
            let mut all = variables.iter();
            all.find(|(name, _)| *name == wanted)
                .map(|(_, value)| *value)
        };
        assert_eq!(wants_colours(value), expected, "{variables:?}");
    }
}

#[test]
fn a_misspelt_variable_is_told_which_was_meant() {
    for (written, meant) in [
        ("DAGWAY_LISTENN", "DAGWAY_LISTEN"),
        ("DAGWAY_CLIENT_KEY", "DAGWAY_CLIENT_KEYS"),
        ("DAGWAY_DATABASE", "DAGWAY_DATABASE_URL"),
        ("DAGWAY_PASSWORD", "DAGWAY_DASHBOARD_PASSWORD"),
        ("DAGWAY_METRIC_TOKEN", "DAGWAY_METRICS_TOKEN"),
        ("DAGWAY_API_KEY", "OPENROUTER_API_KEY"),
        ("DAGWAY_CONFIGG", "DAGWAY_CONFIG"),
        ("DAGWAY_STORE_PAYLOAD", "DAGWAY_STORE_PAYLOADS"),
        ("DAGWAY_PORT", "DAGWAY_LISTEN"),
        ("DAGWAY_HOST", "DAGWAY_LISTEN"),
        ("DAGWAY_ADDRESS", "DAGWAY_LISTEN"),
    ] {
        let said = fails(&[(written, "x")]);
        let expected = format!("(did you mean {meant}?)");
        assert!(said.contains(&expected) && said.contains(written), "{said}");
    }
}

#[test]
fn an_open_address_demands_keys_and_a_password() {
    let open = ("DAGWAY_LISTEN", "0.0.0.0:4000");
    insta::assert_snapshot!(fails(&[open]), @"the variable DAGWAY_LISTEN: the setting `server.listen` is wrong: 0.0.0.0:4000 is not a loopback address: everybody who reaches it could spend your credit and read your prompts; set DAGWAY_CLIENT_KEYS to one or more keys of your own and DAGWAY_DASHBOARD_PASSWORD to a password of your choice, or listen on 127.0.0.1");
    let said = fails(&[open, ("DAGWAY_CLIENT_KEYS", "k")]);
    assert!(said.contains("set DAGWAY_DASHBOARD_PASSWORD") && !said.contains("CLIENT_KEYS"));
    let said = fails(&[open, ("DAGWAY_DASHBOARD_PASSWORD", "p")]);
    assert!(said.contains("set DAGWAY_CLIENT_KEYS") && !said.contains("PASSWORD"));
    let whole = [
        open,
        ("DAGWAY_CLIENT_KEYS", "k, l"),
        ("DAGWAY_DASHBOARD_PASSWORD", "p"),
    ];
    let settings = read(None, &environment(&whole)).unwrap();
    assert_eq!(settings.server.client_keys.len(), 2);
}

#[test]
fn a_client_key_may_have_a_name_and_stand_elsewhere() {
    let key = file("  key-of-a-file==\n");
    let text = format!(
        "[server]\nclient_keys = ['plain=key', ' bob  =  key=b= ', {{ name = 'zoë+ci@team.example', key_env = 'CI_KEY' }},\n\
         {{ key_file = '{}' }}, {{ name = 'd', key_env = 'NOWHERE', key = 'written' }}]\n",
        key.path().display()
    );
    let variables = environment(&[("CI_KEY", " key-of-ci ")]);
    let read_keys = |settings: &Settings| -> Vec<(Option<String>, String)> {
        let keys = settings.server.client_keys.iter();
        keys.map(|one| (one.name.clone(), one.key.expose().to_owned()))
            .collect()
    };
    let named = |name: &str, key: &str| (Some(name.to_owned()), key.to_owned());
    let nameless = |key: &str| (None, key.to_owned());
    let settings = read(Some(file(&text).path()), &variables).unwrap();
    assert_eq!(
        read_keys(&settings),
        [
            nameless("plain=key"),
            named("bob", "key=b="),
            named("zoë+ci@team.example", "key-of-ci"),
            nameless("key-of-a-file=="),
            named("d", "written"),
        ]
    );
    assert!(!format!("{settings:?}").contains("key-of"));
    let list = "alice = a=b, abc==, x=y,\n bob = k";
    let variable = environment(&[("DAGWAY_CLIENT_KEYS", list)]);
    assert_eq!(
        read_keys(&read(None, &variable).unwrap()),
        [
            named("alice", "a=b"),
            nameless("abc=="),
            nameless("x=y"),
            named("bob", "k")
        ]
    );
}

#[test]
fn a_metrics_token_opens_nothing_that_a_password_or_a_key_opens() {
    let password = ("DAGWAY_DASHBOARD_PASSWORD", "of-the-dashboard");
    let keys = ("DAGWAY_CLIENT_KEYS", "first-key,second-key");
    for (token, expected) in [
        ("of-the-dashboard", "it is the password of the dashboard"),
        ("second-key", "it is one of the client keys"),
        ("two words", "cannot be sent as a token"),
        ("schön", "cannot be sent as a token"),
    ] {
        let said = fails(&[password, keys, ("DAGWAY_METRICS_TOKEN", token)]);
        let origin =
            "the variable DAGWAY_METRICS_TOKEN: the setting `server.metrics_token` is wrong: ";
        assert!(
            said.starts_with(origin) && said.contains(expected),
            "{said}"
        );
        assert!(!said.contains(token), "{said}");
    }
    let good = ("DAGWAY_METRICS_TOKEN", "of-its-own");
    let said = fails(&[keys, good]);
    assert!(said.contains("set DAGWAY_DASHBOARD_PASSWORD too"), "{said}");
    let settings = read(None, &environment(&[password, keys, good])).unwrap();
    assert_eq!(settings.server.metrics_token.expose(), "of-its-own");
    assert!(
        Settings::defaults()
            .unwrap()
            .server
            .metrics_token
            .is_empty()
    );
}

#[test]
fn a_variable_of_commas_and_blanks_is_no_list() {
    for variable in ["DAGWAY_CLIENT_KEYS", "DAGWAY_SERVER_ALLOWED_HOSTS"] {
        for nothing in [",", " ", "\n", " , ,\t"] {
            let said = fails(&[(variable, nothing)]);
            assert!(
                said.contains("write an entry into it, or unset it"),
                "{said}"
            );
        }
        assert!(read(None, &environment(&[(variable, "")])).is_ok());
        assert!(read(None, &environment(&[(variable, ",k,")])).is_ok());
    }
    insta::assert_snapshot!(fails(&[("DAGWAY_CLIENT_KEYS", ",")]), @"the variable DAGWAY_CLIENT_KEYS: the setting `server.client_keys` is wrong: it lists nothing: only blanks and commas are in the variable; write an entry into it, or unset it");
}

#[test]
fn a_wrong_client_key_is_told_by_its_place_and_not_shown() {
    let said = |list: &str| {
        let said = fails(&[("DAGWAY_CLIENT_KEYS", list)]);
        assert!(!said.contains("secret"), "{said}");
        said
    };
    insta::assert_snapshot!(said("k, secret words"), @"the variable DAGWAY_CLIENT_KEYS: the setting `server.client_keys[1]` is wrong: the key holds a character that no client can send; use ASCII letters, digits and signs, without spaces (a key with a name is written `alice = KEY`)");
    insta::assert_snapshot!(said("alice= secret"), @"the variable DAGWAY_CLIENT_KEYS: the setting `server.client_keys[0]` is wrong: the key holds a character that no client can send; use ASCII letters, digits and signs, without spaces (a key with a name is written `alice = KEY`)");
    insta::assert_snapshot!(said("secret/1 = alice"), @"the variable DAGWAY_CLIENT_KEYS: the setting `server.client_keys[0]` is wrong: the name of the key is none; use 1 to 64 letters, digits and the signs - _ . @ +, without spaces");
    insta::assert_snapshot!(said("alice = secret, k, alice = l"), @"the variable DAGWAY_CLIENT_KEYS: the setting `server.client_keys[2]` is wrong: `alice` is the name of two keys; give each a name of its own");
    insta::assert_snapshot!(said("alice = secret, bob = secret"), @"the variable DAGWAY_CLIENT_KEYS: the setting `server.client_keys[1]` is wrong: `alice` and `bob` have the same key; give each a key of its own");
    insta::assert_snapshot!(said("secret, bob = secret"), @"the variable DAGWAY_CLIENT_KEYS: the setting `server.client_keys[1]` is wrong: the key of `bob` stands there without a name, too; leave one of them out");
    assert!(read(None, &environment(&[("DAGWAY_CLIENT_KEYS", "k, k")])).is_ok());
    let names = [64, 65].map(|length| format!("{} = k", "n".repeat(length)));
    assert!(read(None, &environment(&[("DAGWAY_CLIENT_KEYS", &names[0])])).is_ok());
    assert!(said(&names[1]).contains("1 to 64 letters"));
    assert!(said("a\u{202e} = k").contains("without spaces"));

    let place = |entry: &str| {
        let file = file(&format!("[server]\nclient_keys = [\n'k',\n{entry}]\n"));
        let said = read(Some(file.path()), &[]).unwrap_err().to_string();
        let place = format!("{}:4: ", file.path().display());
        said.strip_prefix(&place).map(str::to_owned)
    };
    insta::assert_snapshot!(place("{ name = 'alice', key_env = 'ALICE_KEY' }").unwrap(), @"the setting `server.client_keys[1]` is wrong: the variable ALICE_KEY holds no key; set it, or leave this entry out");
    insta::assert_snapshot!(place("{ name = 'alice' }").unwrap(), @"the setting `server.client_keys[1]` is wrong: it has a name and no key; add `key_env` with the variable that holds the key, `key_file` with its file, or `key`");
    insta::assert_snapshot!(place("''").unwrap(), @"the setting `server.client_keys[1]` is wrong: the key is empty");
    insta::assert_snapshot!(place("{ key_file = '/nowhere/key' }").unwrap(), @"the setting `server.client_keys[1].key_file` is wrong: /nowhere/key cannot be read: No such file or directory (os error 2); correct the path, or mount the secret there");
}

#[test]
fn the_option_for_the_address_is_over_the_variable_and_named_when_it_is_wrong() {
    let open = environment(&[("DAGWAY_LISTEN", "0.0.0.0:4000")]);
    let here = "127.0.0.1:1".parse().ok();
    let settings = read_with(None, &open, here).unwrap();
    assert_eq!(settings.server.listen.port(), 1);
    let said = read_with(None, &[], "0.0.0.0:1".parse().ok()).unwrap_err();
    assert!(
        said.to_string().starts_with("the option --listen: "),
        "{said}"
    );
}

#[test]
fn a_file_that_is_no_text_is_told_from_one_that_is_not_there() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[server]\n# caf\xe9\n").unwrap();
    let said = read(Some(file.path()), &[]).unwrap_err().to_string();
    assert!(
        said.ends_with("is not UTF-8 text; save it in that encoding"),
        "{said}"
    );
}

#[test]
fn upstreams_without_a_key_are_known_by_the_variable_that_should_hold_it() {
    let text = "[upstreams.far]\nkind = 'openai'\nbase_url = 'https://far.test/v1'\nkey_env = 'FAR_KEY'\n\
                [upstreams.near]\nkind = 'openai'\nbase_url = 'http://[::1]:1/v1'\nkey_env = 'NEAR_KEY'\n\
                [upstreams.free]\nkind = 'openai'\nbase_url = 'https://free.test/v1'\n";
    let settings = file(text);
    let keyless = |variables: &[(&str, &str)]| -> Vec<(String, bool)> {
        let settings = read(Some(settings.path()), &environment(variables)).unwrap();
        let keyless = settings.keyless();
        keyless.map(|one| (one.to_string(), one.is_here)).collect()
    };
    let said = |name: &str, variable: &str, is_here| {
        (
            format!("the upstream `{name}` has no key: set {variable}"),
            is_here,
        )
    };
    assert_eq!(
        keyless(&[]),
        [
            said("far", "FAR_KEY", false),
            said("near", "NEAR_KEY", true),
            said("openrouter", "OPENROUTER_API_KEY", false),
        ]
    );
    let keys = [
        ("FAR_KEY", "k"),
        ("NEAR_KEY", "k"),
        ("OPENROUTER_API_KEY", "k"),
    ];
    assert_eq!(keyless(&keys), []);
}

#[test]
fn a_secret_in_an_address_is_refused_and_not_repeated() {
    for (url, words) in [
        (
            "http://ann:SECRET@x/v1",
            "it has a user or a password in it",
        ),
        (
            "http://ann:SECRET@:bad:/v1",
            "it has a user or a password in it",
        ),
        ("ann:SECRET@x/v1", "it has a user or a password in it"),
        (
            "http://x/v1?key=SECRET",
            "`http://x/v1` is followed by a part",
        ),
    ] {
        let said = fails(&[("OPENROUTER_BASE_URL", url)]);
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("SECRET"), "{said}");
    }
    let at = [("OPENROUTER_BASE_URL", "http://x/v1/@ann")];
    assert!(read(None, &environment(&at)).is_ok());
}

#[test]
fn a_key_may_stand_in_a_header() {
    let lacks = |headers: &str| {
        let settings = file(&format!("[upstreams.openrouter.headers]\n{headers}\n"));
        let settings = read(Some(settings.path()), &environment(&[])).unwrap();
        assert_eq!(
            settings.keyless().count(),
            usize::from(settings.lacks_the_key())
        );
        settings.lacks_the_key()
    };
    assert!(!lacks("Authorization = 'Bearer sk-or-x'"));
    assert!(lacks("authorization = ''"), "an empty one is not sent");
    assert!(lacks("x-title = 'ours'"));
}

#[test]
fn secrets_do_not_print() {
    let settings = read(
        None,
        &environment(&[("OPENROUTER_API_KEY", "sk-or-v1-secret")]),
    )
    .unwrap();
    assert_eq!(
        settings.upstreams["openrouter"].key.expose(),
        "sk-or-v1-secret"
    );
    assert!(!format!("{settings:?}").contains("secret"));
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_user_adds_upstreams_and_their_rules_come_first() {
    let key = file("  secret-of-a-file\n");
    let text = format!(
        "[upstreams.local]\nkind = 'openai'\nbase_url = 'http://127.0.0.1:1/v1'\nkey_file = '{}'\n\
         quirks = {{ max_tokens = 'max_completion_tokens' }}\n\
         [upstreams.other]\nkind = 'anthropic'\nbase_url = 'https://a.test/v1'\nkey_env = 'OTHER_KEY'\nkey = 'written'\n\
         [upstreams.openrouter]\nheaders = {{ x-team = 'blue' }}\n\
         [[models.rules]]\nmatch = 'local/*'\nsend = '*'\nupstream = 'local'\n",
        key.path().display()
    );
    let settings = file(&text);
    let variables = environment(&[("OTHER_KEY", "of-the-environment")]);
    let settings = read(Some(settings.path()), &variables).unwrap();
    let local = &settings.upstreams["local"];
    assert_eq!(
        (local.kind, local.key.expose()),
        (Kind::OpenAi, "secret-of-a-file")
    );
    assert!(local.quirks.max_tokens.is_some() && local.quirks.reasoning.is_none());
    assert_eq!(
        settings.upstreams["other"].key.expose(),
        "of-the-environment"
    );
    let openrouter = &settings.upstreams["openrouter"];
    assert_eq!(
        openrouter.base_url, "https://openrouter.ai/api/v1",
        "the rest stays"
    );
    assert_eq!(openrouter.headers["x-team"], "blue");
    let patterns: Vec<&str> = settings
        .models
        .rules
        .iter()
        .map(|rule| rule.pattern.as_str())
        .collect();
    assert_eq!(patterns, ["local/*", "anthropic/*"]);
    let without_the_variable = read(Some(file(&text).path()), &[]).unwrap();
    assert_eq!(
        without_the_variable.upstreams["other"].key.expose(),
        "written"
    );
}

#[test]
fn a_provider_is_a_table_or_the_same_as_json() {
    let text = "[models]\nprovider = { order = ['a', 'b'], allow_fallbacks = false, max_price = { prompt = 1.5 } }\n\
                [[models.rules]]\nmatch = 'x/*'\nprovider = { only = ['c'], brand_new = 7 }\n\
                [[models.rules]]\nmatch = 'y/*'\nprovider = '{\"zdr\": true}'\n\
                [[models.rules]]\nmatch = 'z/*'\nprovider = {}\n";
    let written = file(text);
    let settings = read(Some(written.path()), &[]).unwrap().models;
    let json = |text: Option<&str>| -> Option<serde_json::Value> {
        text.map(|text| serde_json::from_str(text).unwrap())
    };
    assert_eq!(
        json(settings.provider.json()),
        Some(serde_json::json!(
            { "order": ["a", "b"], "allow_fallbacks": false, "max_price": { "prompt": 1.5 } }
        ))
    );
    let of_rules: Vec<_> = settings
        .rules
        .iter()
        .map(|rule| rule.provider.as_ref().map(|one| json(one.json())))
        .collect();
    assert_eq!(
        of_rules,
        [
            Some(Some(serde_json::json!({ "only": ["c"], "brand_new": 7 }))),
            Some(Some(serde_json::json!({ "zdr": true }))),
            Some(None),
            None,
        ]
    );
    let variable = environment(&[("DAGWAY_MODELS_PROVIDER", " {\"sort\": \"price\"} ")]);
    let settings = read(Some(written.path()), &variable).unwrap();
    let provider = settings.models.provider;
    assert_eq!(
        provider.json(),
        Some("{\"sort\": \"price\"}"),
        "as it was written"
    );
    for nothing in ["", "{}"] {
        let nothing: Provider = nothing.parse().unwrap();
        assert_eq!(nothing.json(), None);
    }
}

#[test]
fn a_wrong_provider_is_a_sentence_with_its_place() {
    insta::assert_snapshot!(fails(&[("DAGWAY_MODELS_PROVIDER", "anthropic")]), @r#"the variable DAGWAY_MODELS_PROVIDER: the setting `models.provider` is wrong: `anthropic` is no JSON object, such as {"order":["anthropic"]}"#);
    let said = |text: &str| {
        let written = file(text);
        let said = read(Some(written.path()), &[]).unwrap_err().to_string();
        said.replace(&written.path().display().to_string(), "FILE")
    };
    insta::assert_snapshot!(said("[models]\nprovider = ['anthropic']\n"), @r#"FILE:2: the setting `models.provider` is wrong: a list is not OpenRouter's `provider`, a table such as { order = ["anthropic"] } or the same as JSON in quotes"#);
    insta::assert_snapshot!(said("[[models.rules]]\nmatch = 'x/*'\nprovider = { max_price = { prompt = inf } }\n"), @"FILE:3: the setting `models.rules[0].provider` is wrong: it holds `inf` or `nan`, which no JSON can say; leave that entry out");
    let local = "[upstreams.local]\nkind = 'openai'\nbase_url = 'http://x'\n[[models.rules]]\nmatch = 'x/*'\nupstream = 'local'\nprovider = { zdr = true }\n";
    insta::assert_snapshot!(said(local), @r#"FILE:4: the setting `models.rules (match = "x/*")` is wrong: `provider` is OpenRouter's, and `local` is not of the kind "openrouter"; leave `provider` out, name another `upstream`, or say with `extensions = true` in its quirks that it takes OpenRouter's fields"#);
    let plain = "[upstreams.openrouter]\nquirks = { extensions = false }\n\
                 [[models.rules]]\nmatch = 'x/*'\nprovider = { zdr = true }\n";
    insta::assert_snapshot!(said(plain), @r#"FILE:3: the setting `models.rules (match = "x/*")` is wrong: `provider` would not be sent, because `upstreams.openrouter.quirks` has `extensions = false`; leave one of the two out"#);
}

#[test]
fn a_wrong_upstream_or_rule_is_a_sentence_too() {
    for (text, expected) in [
        (
            "[[models.rules]]\nmatch = 'x/*'\nupstream = 'nobody'\n",
            "there is no upstream `nobody`; there are: openrouter",
        ),
        ("[[models.rules]]\nmatch = '*/*'\n", "at most one `*`"),
        (
            "[[models.rules]]\nmatch = 'x'\nsend = '*'\n",
            "`send` is `*`",
        ),
        (
            "[[models.rules]]\nmatch = 'x'\nlane = 'fast'\n",
            "`fast` is not one of: chat, native",
        ),
        (
            "[[models.fallbacks]]\nmatch = 'a*b*'\nmodels = ['x/y']\n",
            "models.fallbacks (match = \"a*b*\")",
        ),
        (
            "[[models.fallbacks]]\nmatch = 'a'\nmodels = []\n",
            "`models` names no model that could step in",
        ),
        (
            "[[models.fallbacks]]\nmatch = 'a'\nmodels = ['x/*']\n",
            "`x/*` in `models` is no name of a model",
        ),
        (
            "[[models.fallbacks]]\nmatch = 'a'\nmodels = ['x/y']\npatience = '0s'\n",
            "`0s` is not between 1ms and 876000h",
        ),
        (
            "[[models.fallbacks]]\nmatch = 'a'\nmodels = ['x/y']\npatience = 20\n",
            "it is a time with its unit, in quotes",
        ),
        (
            "[[models.fallbacks]]\nmatch = 'a'\nmodels = ['x/y']\npatiance = '20s'\n",
            "it has no `patiance`; it may have: match, models, patience",
        ),
        ("[models]\nfallbacks = ['x/y']\n", "`x/y` is not a table"),
        ("[upstreams.a]\nkind = 'openai'\n", "it needs `base_url`"),
        (
            "[upstreams.a]\nkind = 'openai'\nbase_url = 'x'\n",
            "`x` is no http or https URL",
        ),
        (
            "[upstreams.a]\nkind = 'openai'\nbase_url = 'http://x'\nbase_ulr = 'x'\n",
            "it has no `base_ulr`; it may have: kind, base_url",
        ),
        (
            "[upstreams.a]\nkind = 'openai'\nbase_url = 'http://x'\nkey_file = '/nowhere/key'\n",
            "/nowhere/key cannot be read",
        ),
        (
            "[upstreams.a]\nkind = 'anthropic'\nbase_url = 'http://x'\n[[models.rules]]\nmatch = 'x'\nupstream = 'a'\nlane = 'chat'\n",
            "`a` has no chat completions",
        ),
    ] {
        let said = read(Some(file(text).path()), &[]).unwrap_err().to_string();
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn a_blank_secret_is_not_taken_for_none() {
    for variable in [
        "DAGWAY_DASHBOARD_PASSWORD",
        "DAGWAY_METRICS_TOKEN",
        "DAGWAY_DATABASE_URL",
    ] {
        let said = fails(&[(variable, " \t")]);
        assert!(said.contains(variable), "{said}");
        assert!(
            said.ends_with("it is blank; write the secret, or nothing at all for none"),
            "{said}"
        );
        assert!(read(None, &environment(&[(variable, "")])).is_ok());
    }
}
