//! Adapters from web servers, hubs and disk.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use inference::{
    adapter::{
        AdapterFiles, AdapterHash, AdapterLimits, AdapterSet, AdapterStore, HttpConfig,
        HttpSources, Manifest, Registration, RemoteFile, Source, StoreConfig, peft_files,
    },
    model::{Site, SiteId, SiteWeights},
};

use crate::server::{Reply, Server};

fn sites() -> Vec<Site> {
    vec![Site::new(SiteId(0), "transformer.h.0.attn.c_attn".into(), 8, 24, true)]
}

fn files() -> AdapterFiles {
    let (rank, d_in, d_out) = (2, 8, 24);
    let value = |i: usize| i as f32 / 7.0;
    let (a, b) = ((0..16).map(value).collect(), (0..48).map(value).collect());
    peft_files(&[SiteWeights { site: SiteId(0), rank, d_in, d_out, a, b, scale: 1.5 }], &sites())
        .unwrap()
}

fn local() -> HttpConfig {
    HttpConfig {
        allow_plain: true,
        allow_private: true,
        connect_timeout: Duration::from_millis(500),
        timeout: Duration::from_secs(2),
        ..HttpConfig::default()
    }
}

fn manifest(server: &Server) -> Manifest {
    let file = |path: &str, bytes| RemoteFile { url: format!("{}{path}", server.url), bytes };
    let bytes = files().weights.len() as u64;
    Manifest { config: file("/config", None), weights: file("/weights", Some(bytes)) }
}

fn serve(server: &Server, prefix: &str, names: [&str; 2]) {
    let AdapterFiles { config, weights } = files();
    server.reply(&format!("{prefix}{}", names[0]), Reply::Body(config));
    server.reply(&format!("{prefix}{}", names[1]), Reply::Body(weights));
}

fn fetch(source: &dyn Source) -> Result<AdapterFiles, String> {
    source.fetch(&AdapterLimits::default()).map_err(|error| error.to_string())
}

#[test]
fn files_come_from_manifests_and_hubs() {
    let server = Server::start();
    let http = HttpSources::new(HttpConfig { hub: server.url.clone() + "/", ..local() });
    serve(&server, "", ["/config", "/weights"]);
    assert_eq!(fetch(&http.manifest(manifest(&server)).unwrap()), Ok(files()));

    let Manifest { config, weights } = manifest(&server);
    let text = serde_json::json!({
        "config": {"url": config.url},
        "weights": {"url": weights.url, "bytes": weights.bytes},
    });
    server.reply("/manifest.json", Reply::Body(text.to_string().into()));
    let url = format!("{}/manifest.json", server.url);
    assert_eq!(fetch(&http.manifest_at(&url).unwrap()), Ok(files()));

    // As Hugging Face does it: the weights lie elsewhere.
    let folder = "/owner/adapter-1.0/resolve/main/";
    serve(&server, "/cdn/", ["config", "weights"]);
    server.reply(&format!("{folder}adapter_config.json"), Reply::Body(files().config));
    let elsewhere = Reply::Redirect(format!("{}/cdn/weights", server.url));
    server.reply(&format!("{folder}adapter_model.safetensors"), elsewhere);
    assert_eq!(fetch(&http.hub("owner/adapter-1.0", "main").unwrap()), Ok(files()));
    let error = fetch(&http.hub("owner/adapter-1.0", "v2").unwrap()).unwrap_err();
    assert!(error.contains("404"), "{error}");
}

#[test]
fn names_and_urls_that_lead_elsewhere_are_refused() {
    let http = HttpSources::new(HttpConfig::default());
    for (repository, revision) in [
        ("../../etc", "main"),
        ("a/b/c", "main"),
        ("a/..", "main"),
        ("a/b?x", "main"),
        ("a/b", "../main"),
        ("a/b", "refs/pr/1"),
        ("", "main"),
        ("a//b", "main"),
        ("a@b/c", "main"),
        ("a/b", ""),
    ] {
        assert!(http.hub(repository, revision).is_err(), "{repository} {revision}");
    }
    for url in [
        "http://example.com/m",
        "file:///etc/passwd",
        "ftp://example.com/m",
        "https://",
        "m",
        "https://user:word@example.com/m",
    ] {
        assert!(http.manifest_at(url).is_err(), "{url}");
    }
    assert!(http.manifest_at(&format!("https://a.b/{}", "x".repeat(3000))).is_err());
    assert!(http.manifest_at("https://example.com/m").is_ok());
    assert!(http.hub("owner/name", "0123abc").is_ok());
}

#[test]
fn private_addresses_are_refused_whatever_they_are_called() {
    let server = Server::start();
    serve(&server, "", ["/config", "/weights"]);
    let port = server.url.rsplit(':').next().unwrap();
    let http = HttpSources::new(HttpConfig { allow_private: false, ..local() });
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1"] {
        let Ok(source) = http.manifest_at(&format!("http://{host}:{port}/config")) else {
            continue;
        };
        assert!(fetch(&source).is_err(), "{host}");
    }
    let error = fetch(&http.manifest(manifest(&server)).unwrap()).unwrap_err();
    assert!(error.contains("not at a public address"), "{error}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn sizes_times_and_redirects_are_bounded() {
    let server = Server::start();
    serve(&server, "", ["/config", "/weights"]);
    let http = HttpSources::new(local());
    let source = |url: &str| {
        let mut manifest = manifest(&server);
        manifest.weights = RemoteFile { url: format!("{}{url}", server.url), bytes: None };
        http.manifest(manifest).unwrap()
    };
    let refused = |url: &str, reason: &str| {
        let error = fetch(&source(url)).unwrap_err();
        assert!(error.contains(reason), "{url}: {error}");
    };
    server.reply("/huge", Reply::Announce(1 << 40));
    refused("/huge", "1099511627776 bytes, more than");
    server.reply("/short", Reply::Announce(1000));
    assert!(fetch(&source("/short")).is_err());
    server.reply("/silence", Reply::Silence);
    refused("/silence", "timeout");
    server.reply("/loop", Reply::Redirect(format!("{}/loop", server.url)));
    refused("/loop", "redirect");
    server.reply("/away", Reply::Redirect("file:///etc/passwd".into()));
    assert!(fetch(&source("/away")).is_err());
    server.reply("/endless", Reply::Endless);
    let limits = AdapterLimits { weights_bytes: 1 << 16, ..AdapterLimits::default() };
    let error = source("/endless").fetch(&limits).unwrap_err().to_string();
    assert!(error.contains("more than 65536 bytes"), "{error}");
    let limits = AdapterLimits { config_bytes: 100, ..AdapterLimits::default() };
    assert!(http.manifest(manifest(&server)).unwrap().fetch(&limits).is_err());
    let mut other = manifest(&server);
    other.weights.bytes = Some(17);
    assert!(fetch(&http.manifest(other).unwrap()).unwrap_err().contains("not 17"));

    let secure = HttpSources::new(HttpConfig { allow_plain: false, ..local() });
    assert!(secure.manifest(manifest(&server)).is_err());
}

#[test]
fn remote_adapters_are_kept_on_disk_and_proven_when_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (server, hash) = (Server::start(), files().hash());
    serve(&server, "", ["/config", "/weights"]);
    let config = StoreConfig {
        disk: Some(dir.path().join("adapters")),
        host_bytes: 0,
        resident_slots: 1,
        http: local(),
        ..StoreConfig::default()
    };
    let start = || {
        let store = AdapterStore::new(sites(), config.clone()).unwrap();
        let source = Arc::new(store.http().manifest(manifest(&server)).unwrap());
        let registration = Registration { name: None, owner: None, source, hash: Some(hash) };
        store.register(registration).unwrap();
        store
    };
    let requests = || server.requests.load(Ordering::SeqCst);
    let load = |store: &AdapterStore| store.acquire(&AdapterSet::one(hash)).unwrap();
    let first = start();
    assert_eq!((requests(), first.stats().disk.0), (0, 0));
    let weights = load(&first)[0].adapter().weights();
    assert_eq!((requests(), weights[0].scale), (2, 1.5));
    assert_eq!(first.stats().disk, (1, files().len() as u64));
    drop(first);
    // Another process finds it.
    let second = start();
    assert_eq!(load(&second)[0].adapter().weights(), weights);
    assert_eq!(requests(), 2);
    drop(second);
    // A flipped bit is found, and the adapter fetched again.
    let path = dir.path().join("adapters").join(hash.to_string()).join("adapter_model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let third = start();
    assert_eq!(load(&third)[0].adapter().weights(), weights);
    assert_eq!(requests(), 4);
    assert_eq!(std::fs::read(&path).unwrap(), files().weights);
    // A link out of the folder is not followed.
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    drop(third);
    let fourth = start();
    assert_eq!(load(&fourth)[0].adapter().weights(), weights);
    assert_eq!(requests(), 6);
    // What is withdrawn leaves the disk.
    fourth.unload(hash).unwrap();
    assert!(!path.exists() && fourth.stats().disk == (0, 0));
}

#[test]
fn the_disk_is_bounded_and_forgets_what_was_used_longest_ago() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let config = StoreConfig {
        disk: Some(dir.path().into()),
        disk_bytes: files().len() as u64 * 5 / 2,
        http: local(),
        ..StoreConfig::default()
    };
    let store = AdapterStore::new(sites(), config).unwrap();
    let mut hashes = Vec::new();
    for id in 0..3 {
        let mut files = files();
        files.config.extend(vec![b' '; id]);
        let hash = files.hash();
        server.reply(&format!("/{id}/config"), Reply::Body(files.config));
        server.reply(&format!("/{id}/weights"), Reply::Body(files.weights));
        let file = |name| RemoteFile { url: format!("{}/{id}/{name}", server.url), bytes: None };
        let manifest = Manifest { config: file("config"), weights: file("weights") };
        let source = Arc::new(store.http().manifest(manifest).unwrap());
        let registration = Registration { name: None, owner: None, source, hash: None };
        assert_eq!(store.register(registration).unwrap(), hash);
        hashes.push(hash);
    }
    let there = |hash: &AdapterHash| dir.path().join(hash.to_string()).exists();
    assert_eq!(hashes.iter().map(there).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(store.stats().disk.0, 2);
}
