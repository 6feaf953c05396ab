use super::*;
use crate::chain::deployment_for_tests as deployment;

const EXAMPLE: &str = include_str!("../../openledger.example.toml");

#[test]
fn the_documented_example_is_valid() {
    let config = Config::parse(EXAMPLE).unwrap();
    assert_eq!(config.node.listen.port(), 8080);
    assert_eq!(config.model.models.len(), 1);
}

/// The example with every line that is a setting behind `# ` switched on.
fn uncommented() -> String {
    let is_setting = |text: &str| {
        let key = text.split(" = ").next().unwrap();
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        (text.contains(" = ") && key.chars().all(is_word)) || text.starts_with('[')
    };
    let on = |line: &str| match line.strip_prefix("# ") {
        Some(text) if is_setting(text) => text.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(|line| on(line) + "\n").collect()
}

/// Sections with their keys, as written.
fn settings(text: &str) -> Vec<String> {
    fn walk(prefix: &str, table: &toml::Table, found: &mut Vec<String>) {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            match value {
                toml::Value::Table(table) => walk(&format!("{name}."), table, found),
                toml::Value::Array(list) if list.iter().all(toml::Value::is_table) => {
                    for table in list.iter().filter_map(toml::Value::as_table) {
                        walk(&format!("{name}."), table, found);
                    }
                }
                _ => found.push(name),
            }
        }
    }
    let mut found = Vec::new();
    walk("", &text.parse().unwrap(), &mut found);
    found
}

/// Powers come from a seed or from a file, and the rest of the example goes together.
fn whole() -> String {
    uncommented().replace("path = \"srs/g1.point\"\n", "")
}

#[test]
fn what_is_commented_out_is_the_default() {
    let mut without_shopping = whole();
    let relay = without_shopping.find("[da.relay]").unwrap();
    let srs = without_shopping.find("[srs]").unwrap();
    without_shopping.replace_range(relay..srs, "");
    let cut = without_shopping.find("[challenger.shopping]").unwrap();
    let log = without_shopping.find("[log]").unwrap();
    let without_shopping = format!("{}{}", &without_shopping[..cut], &without_shopping[log..]);
    let without_datanets = without_shopping.replace("datanets = ", "# datanets = ");
    let cached = without_datanets.replace("cache_dir = ", "# cache_dir = ");
    let shown = |text: &str| format!("{:?}", Config::parse(text).unwrap());
    assert_eq!(shown(&cached), shown(EXAMPLE));
}

#[test]
fn every_setting_is_in_the_example_and_none_else_is_known() {
    let whole = whole();
    let config = Config::parse(&whole).unwrap();
    assert_eq!(config.challenger.shopping.unwrap().max_tokens, 48);
    let names = settings(&uncommented());
    for (section, keys) in [
        ("chain", "rpc_url deployment poll_interval_ms max_head_age_seconds"),
        ("operator", "key_file"),
        (
            "node",
            "listen data_dir max_skew_seconds max_body_bytes max_requests call_timeout_seconds \
             datanets",
        ),
        (
            "model",
            "base models max_prompt_tokens max_new_tokens max_batch ranks queue attribution_threads",
        ),
        ("da", "kind attestor_key_file"),
        ("da.relay", "rpc_url key_file patience_blocks attempts max_fee_gwei"),
        ("da.eigenda", "proxy_url timeout_seconds attempts patience_seconds"),
        ("srs", "powers secret_seed path cache_dir"),
        ("earnings", "archive_seconds"),
        ("validator", "enabled"),
        ("challenger", "enabled draw_samples"),
        (
            "challenger.shopping",
            "endpoints key_file prompts budget_gwei deposit_gwei calls_per_epoch max_tokens",
        ),
        ("adapters", "root hosts hub registered resident_mib host_mib disk_mib"),
        ("retrieval", "encoder library folders private max_rows min_cosine_bps free_per_second"),
        (
            "[keys]",
            "name sha256 payer_key_file deposit_gwei daily_limit_gwei datanets admin unrecorded \
             adapters",
        ),
        ("[keys.adapters]", "name path"),
        ("log", "format level"),
    ] {
        let (header, section) = (format!("[{section}]\n"), section.trim_matches(['[', ']']));
        for key in keys.split_whitespace() {
            let (name, table) = (format!("{section}.{key}"), format!("{section}.{key}."));
            let is_there = names.iter().any(|n| *n == name || n.starts_with(&table));
            assert!(is_there, "{name} is not documented");
        }
        // The section knows no other key.
        assert!(whole.contains(&header), "{section}");
        let other = whole.replace(&header, &format!("{header}unknown_key = 1\n"));
        let error = Config::parse(&other).unwrap_err().to_string();
        assert!(error.contains("unknown field `unknown_key`"), "{section}: {error}");
        // And the error lists all that it knows: each of them is documented.
        let known = error.split("expected").nth(1).unwrap();
        for key in known.split('`').skip(1).step_by(2) {
            let (value, table) = (format!("{section}.{key}"), format!("{section}.{key}."));
            let is_there = names.iter().any(|n| *n == value || n.starts_with(&table));
            assert!(is_there, "{value} is not documented");
        }
    }
    let error = Config::parse(&format!("{whole}\n[voting]\n")).unwrap_err().to_string();
    assert!(error.contains("unknown field `voting`"), "{error}");
}

#[test]
fn shopping_that_can_buy_nothing_is_refused_by_name() {
    let whole = whole();
    for (from, to, rule) in [
        ("calls_per_epoch = 2", "calls_per_epoch = 0", "calls_per_epoch 0 is not in 1..=1000"),
        ("max_tokens = 48", "max_tokens = 0", "max_tokens 0 is not in 1..=1048576"),
        ("deposit_gwei = 100000000", "deposit_gwei = 0", "deposit_gwei 0 is not in 1..="),
        ("budget_gwei = 1000000", "budget_gwei = 0", "budget_gwei 0 is not in 1..="),
        ("\"http://10.0.0.7:8080\"", "", "endpoints 0 is not in 1..=1024"),
    ] {
        let changed = whole.replace(from, to);
        assert_ne!(changed, whole, "{from}");
        let error = Config::parse(&changed).unwrap_err().to_string();
        assert!(error.contains(&format!("challenger.shopping.{rule}")), "{error}");
    }
}

#[test]
fn values_out_of_bounds_are_refused_by_name() {
    let text = EXAMPLE.replace("max_requests = 256", "max_requests = 0");
    let error = Config::parse(&text).unwrap_err();
    assert_eq!(error.to_string(), "configuration: node.max_requests 0 is not in 1..=65536");
}

#[test]
fn eigenda_is_refused_with_other_powers_than_its_own() {
    assert_eq!(Config::parse(EXAMPLE).unwrap().da.kind, DaKind::Local);
    let seeded = EXAMPLE.replace("# kind = \"local\"", "kind = \"eigenda\"");
    let error = Config::parse(&seeded).unwrap_err().to_string();
    assert!(error.contains("needs srs.path"), "{error}");
    let whole = seeded.replace("secret_seed = \"openledger-dev\"", "path = \"g1.point\"");
    assert_eq!(Config::parse(&whole).unwrap().da.kind, DaKind::Eigenda);
    let error = Config::parse(&format!("{whole}[da.eigenda]\nattempts = 0")).unwrap_err();
    assert!(error.to_string().contains("da.eigenda.attempts 0"), "{error}");
}

#[test]
fn what_is_for_development_is_refused_on_main_chains() {
    let seeded = Config::parse(EXAMPLE).unwrap();
    assert!(seeded.srs.secret_seed.is_some());
    let mut attested = seeded.clone();
    attested.srs.secret_seed = None;
    for chain_id in [1, 1612] {
        for (config, rule) in
            [(&seeded, "srs.secret_seed"), (&attested, "the development attestor")]
        {
            let error = config.check_deployment(&deployment(chain_id, false)).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(rule), "{error}");
            assert!(error.ends_with(&format!("refused on main chain {chain_id}")), "{error}");
        }
        let mut relaying = relaying();
        relaying.check_deployment(&deployment(chain_id, true)).unwrap();
        relaying.srs.secret_seed = Some("known".into());
        relaying.check_deployment(&deployment(chain_id, true)).unwrap_err();
    }
    for chain_id in [0, 2, 31_337, 161_201] {
        seeded.check_deployment(&deployment(chain_id, false)).unwrap();
    }
}

fn relaying() -> Config {
    let text = EXAMPLE.replace("attestor_key_file", "# attestor_key_file");
    let text = text.replace("# kind = \"local\"", "kind = \"eigenda\"");
    let text = text.replace("secret_seed = \"openledger-dev\"", "path = \"g1.point\"");
    Config::parse(&format!("{text}[da.relay]\nrpc_url = \"http://l1:8545\"\n")).unwrap()
}

#[test]
fn who_certifies_is_what_the_deployment_takes() {
    let (whole, attesting) = (relaying(), Config::parse(EXAMPLE).unwrap());
    for chain_id in [5, 161_201] {
        whole.check_deployment(&deployment(chain_id, true)).unwrap();
        attesting.check_deployment(&deployment(chain_id, false)).unwrap();
    }
    let of = |change: fn(&mut Config)| {
        let mut config = relaying();
        change(&mut config);
        config
    };
    for (config, is_relayed, rule) in [
        (attesting, true, "takes no attestor's word"),
        (of(|config| config.da.attestor_key_file = Some("key".into())), true, "remove it"),
        (of(|config| config.da.kind = DaKind::Local), true, "da.kind is local"),
        (of(|config| config.da.relay = None), true, "da.relay is missing"),
        (whole, false, "da.relay is set"),
    ] {
        let error = config.check_deployment(&deployment(5, is_relayed)).unwrap_err().to_string();
        assert!(error.contains(rule), "{error}");
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    std::fs::write(&path, EXAMPLE).unwrap();
    let config = Config::load(&path).unwrap();
    assert!(config.model.base.starts_with(folder.path()));
    assert!(config.model.models[0].starts_with(folder.path()));
}

#[test]
fn keys_that_cannot_work_are_refused_by_name() {
    let whole = whole();
    let grant = |byte: &str| format!("datanets = [\"0x{}\"]", byte.repeat(32));
    let (granted, other) = (grant("3f"), grant("07"));
    for (from, to, rule) in [
        ("sha256 = \"ba78", "sha256 = \"78", "sha256 of key \"ana\" is not 32 bytes of hex"),
        ("name = \"ana\"", "name = \"\"", "keys.name (bytes) 0 is not in 1..=64"),
        ("daily_limit_gwei = 1000000", "daily_limit_gwei = 0", "keys.daily_limit_gwei 0"),
        ("payer_key_file = \"keys/ana.hex\"", "", "has a deposit but no payer"),
        ("registered = 65536", "registered = 0", "adapters.registered 0 is not in"),
        (&granted, &other, "key \"ana\" is granted 0x0707"),
        ("max_rows = 16", "max_rows = 65", "retrieval.max_rows 65 is not in 1..=64"),
        ("min_cosine_bps = 1500", "min_cosine_bps = 10001", "retrieval.min_cosine_bps 10001"),
        ("free_per_second = 10", "free_per_second = 0", "retrieval.free_per_second 0"),
    ] {
        let changed = whole.replacen(from, to, 1);
        assert_ne!(changed, whole, "{from}");
        let error = Config::parse(&changed).unwrap_err().to_string();
        assert!(error.contains(rule), "{error}");
    }
}
