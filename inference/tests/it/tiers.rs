//! Adapters on their way through the tiers: bounds hold, and nobody gets another's adapter.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use inference::{
    Error, Result,
    adapter::{
        AdapterFiles, AdapterHash, AdapterLease, AdapterLimits, AdapterSet, AdapterStore, Demand,
        Method, Notify, OwnerKey, Recipe, Registration, Source, StoreConfig, Tier, peft_files,
    },
    model::{Site, SiteId, SiteWeights},
};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

const WIDTH: usize = 16;

/// A model of two sites.
fn sites() -> Vec<Site> {
    let site = |id| {
        Site::new(SiteId(id), format!("model.layers.{id}.self_attn.q_proj"), WIDTH, WIDTH, false)
    };
    vec![site(0), site(1)]
}

/// The adapter number `id`: every value says which it is.
fn weights(id: usize) -> Vec<SiteWeights> {
    let rank = 1 + id % 4;
    let site = |site| SiteWeights {
        site: SiteId(site),
        rank,
        d_in: WIDTH,
        d_out: WIDTH,
        // Not exact in bf16, so that all have the same size for their rank.
        a: vec![id as f32 + 1.0 / 3.0; rank * WIDTH],
        b: vec![-(id as f32) - 1.0 / 3.0; WIDTH * rank],
        scale: 1.0,
    };
    vec![site(0), site(1)]
}

fn files(id: usize) -> AdapterFiles {
    peft_files(&weights(id), &sites()).unwrap()
}

/// Adapters in memory that count how often they are read.
#[derive(Debug)]
struct Memory {
    files: AdapterFiles,
    reads: AtomicUsize,
    open: (Mutex<bool>, Condvar),
}

impl Memory {
    fn new(files: AdapterFiles) -> Arc<Self> {
        let open = (Mutex::new(true), Condvar::new());
        Arc::new(Self { files, reads: AtomicUsize::new(0), open })
    }

    fn set_open(&self, open: bool) {
        *self.open.0.lock().unwrap() = open;
        self.open.1.notify_all();
    }
}

impl Source for Memory {
    fn fetch(&self, _: &AdapterLimits) -> Result<AdapterFiles> {
        let mut open = self.open.0.lock().unwrap();
        while !*open {
            open = self.open.1.wait(open).unwrap();
        }
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.files.clone())
    }
}

fn store(config: StoreConfig) -> AdapterStore {
    AdapterStore::new(sites(), config).unwrap()
}

fn slots(resident_slots: usize) -> StoreConfig {
    StoreConfig { resident_slots, ..StoreConfig::default() }
}

fn public(source: Arc<dyn Source>, hash: Option<AdapterHash>) -> Registration {
    Registration { name: None, owner: None, source, hash }
}

/// Registers adapter `id` by hash, unread.
fn register(store: &AdapterStore, id: usize) -> (AdapterHash, Arc<Memory>) {
    let source = Memory::new(files(id));
    let hash = source.files.hash();
    store.register(public(source.clone(), Some(hash))).unwrap();
    (hash, source)
}

fn set(hashes: &[AdapterHash]) -> AdapterSet {
    AdapterSet::new(hashes.iter().map(|hash| (*hash, 0.5)).collect()).unwrap()
}

fn no_one() -> Notify {
    Arc::new(|| ())
}

fn is_loading(store: &AdapterStore, set: &AdapterSet, notify: Notify) -> bool {
    matches!(store.request(set, notify).unwrap(), Demand::Loading)
}

/// What a lease holds says its number everywhere.
fn assert_holds(lease: &AdapterLease, id: usize) {
    assert_eq!(lease.adapter().weights(), weights(id), "slot {:?}", lease.slot());
}

#[test]
fn random_traces_keep_the_bounds_and_never_mix_adapters_up() {
    const ADAPTERS: usize = 1000;
    const SLOTS: usize = 32;
    const REQUESTS: usize = 10_000;
    let config = StoreConfig {
        resident_slots: SLOTS,
        resident_bytes: 30 * 1600,
        host_bytes: 100 * 2500,
        ..StoreConfig::default()
    };
    let store = store(config.clone());
    let dir = tempfile::tempdir().unwrap();
    let hashes: Vec<AdapterHash> = (0..ADAPTERS)
        .map(|id| {
            let (folder, files) = (dir.path().join(id.to_string()), files(id));
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("adapter_config.json"), &files.config).unwrap();
            std::fs::write(folder.join("adapter_model.safetensors"), &files.weights).unwrap();
            store.register(public(store.folder(&folder), Some(files.hash()))).unwrap()
        })
        .collect();
    assert_eq!(store.stats().registered, ADAPTERS);
    assert_eq!(store.stats().resident, 0);

    let seed = 1612;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (sender, woken) = mpsc::channel::<usize>();
    let mut waiting: Vec<(usize, Vec<usize>, AdapterSet, Notify)> = Vec::new();
    let mut running: Vec<(Vec<usize>, Vec<AdapterLease>)> = Vec::new();
    let (mut begun, mut served, mut loads) = (0, 0, 0);
    while served < REQUESTS {
        while begun < REQUESTS && waiting.len() < 12 {
            // A few adapters are hot.
            let pick = |rng: &mut ChaCha8Rng| {
                let u: f64 = rng.random();
                ((ADAPTERS as f64).powf(u) - 1.0) as usize
            };
            let mut ids: Vec<usize> =
                (0..rng.random_range(1..=3)).map(|_| pick(&mut rng)).collect();
            ids.sort_unstable_by_key(|id| hashes[*id]);
            ids.dedup();
            let set = set(&ids.iter().map(|id| hashes[*id]).collect::<Vec<_>>());
            let (sender, number) = (Mutex::new(sender.clone()), begun);
            let notify: Notify = Arc::new(move || {
                let _ = sender.lock().unwrap().send(number);
            });
            if rng.random_bool(0.3) {
                store.prefetch(&set);
            }
            waiting.push((begun, ids, set, notify));
            begun += 1;
        }
        let mut still = Vec::new();
        for (number, ids, set, notify) in waiting.drain(..) {
            match store.request(&set, Arc::clone(&notify)).unwrap() {
                Demand::Ready(leases) => {
                    assert_eq!(leases.len(), ids.len());
                    for (lease, id) in leases.iter().zip(&ids) {
                        assert_eq!(lease.adapter().hash(), hashes[*id]);
                        assert_holds(lease, *id);
                    }
                    running.push((ids, leases));
                    served += 1;
                }
                Demand::Loading => {
                    loads += 1;
                    still.push((number, ids, set, notify));
                }
            }
        }
        waiting = still;
        let stats = store.stats();
        assert!(stats.resident <= SLOTS && stats.resident_bytes <= config.resident_bytes);
        assert!(stats.host_bytes <= config.host_bytes, "{stats:?}, seed {seed}");
        // Slots of different adapters differ while they are held.
        let mut held: Vec<_> = running
            .iter()
            .flat_map(|(ids, leases)| ids.iter().zip(leases))
            .map(|(id, lease)| (lease.slot(), lease.generation(), *id))
            .collect();
        held.sort_unstable();
        held.dedup();
        assert!(held.windows(2).all(|pair| pair[0].0 != pair[1].0), "a slot holds two adapters");
        // Requests end in any order; more of them when nothing else can go on.
        running.shuffle(&mut rng);
        let most = if waiting.is_empty() { 8 } else { 5 };
        while running.len() > most {
            let (ids, leases) = running.pop().unwrap();
            ids.iter().zip(&leases).for_each(|(id, lease)| assert_holds(lease, *id));
        }
        if !waiting.is_empty() && woken.recv_timeout(Duration::from_millis(50)).is_err() {
            running.pop();
        }
        while woken.try_recv().is_ok() {}
    }
    assert!(loads > REQUESTS / 10, "the trace should miss often: {loads}");
}

#[test]
fn a_load_is_shared_by_all_who_wait_for_it() {
    let store = store(StoreConfig::default());
    let (hash, source) = register(&store, 3);
    source.set_open(false);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (store, set) = (store.clone(), AdapterSet::one(hash));
            std::thread::spawn(move || store.acquire(&set).unwrap())
        })
        .collect();
    while store.stats().waiting == 0 {
        std::thread::yield_now();
    }
    source.set_open(true);
    for thread in threads {
        assert_holds(&thread.join().unwrap()[0], 3);
    }
    assert_eq!(source.reads.load(Ordering::SeqCst), 1);
    assert_eq!(store.adapters()[0].in_flight, 0);
}

#[test]
fn held_adapters_stay_and_who_waits_is_told_when_one_leaves() {
    let store = store(slots(2));
    let hashes: Vec<_> = (0..3).map(|id| register(&store, id).0).collect();
    let first = store.acquire(&set(&hashes[..1])).unwrap();
    let second = store.acquire(&set(&hashes[1..2])).unwrap();
    let (sender, woken) = mpsc::channel();
    let sender = Mutex::new(sender);
    let notify: Notify = Arc::new(move || sender.lock().unwrap().send(()).unwrap());
    let third = set(&hashes[2..]);
    assert!(is_loading(&store, &third, notify.clone()));
    assert!(woken.recv_timeout(Duration::from_millis(100)).is_err());
    assert!(is_loading(&store, &third, notify.clone()));
    // Others may go on with what is in slots.
    assert_holds(&store.acquire(&set(&hashes[..1])).unwrap()[0], 0);
    let slot = second[0].slot();
    drop(second);
    woken.recv_timeout(Duration::from_secs(10)).unwrap();
    let Demand::Ready(third) = store.request(&third, notify).unwrap() else { panic!("not ready") };
    assert_holds(&third[0], 2);
    assert_holds(&first[0], 0);
    assert_eq!(third[0].slot(), slot);
    assert_eq!(store.stats().resident, 2);
}

#[test]
fn ensembles_that_want_all_slots_take_turns() {
    let store = store(slots(2));
    let hashes: Vec<_> = (0..6).map(|id| register(&store, id).0).collect();
    let threads: Vec<_> = (0..6)
        .map(|turn| {
            let (store, pair) = (store.clone(), 2 * (turn % 3));
            let set = set(&hashes[pair..pair + 2]);
            let mut ids = [pair, pair + 1];
            ids.sort_by_key(|id| hashes[*id]);
            std::thread::spawn(move || {
                for _ in 0..50 {
                    let leases = store.acquire(&set).unwrap();
                    leases.iter().zip(ids).for_each(|(lease, id)| assert_holds(lease, id));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let error = store.acquire(&set(&hashes[..3])).unwrap_err().to_string();
    assert!(error.contains("more than 2 slots"), "{error}");
    assert!(store.acquire(&set(&hashes[1..3])).is_ok());
}

#[test]
fn what_fits_no_budget_is_refused_with_the_reason() {
    let tight = store(StoreConfig { resident_bytes: 1000, ..StoreConfig::default() });
    let (hash, _) = register(&tight, 3);
    let error = tight.acquire(&AdapterSet::one(hash)).unwrap_err().to_string();
    assert!(error.contains("of 1000"), "{error}");
    // Without a host tier, files pass through.
    let direct = store(StoreConfig { host_bytes: 0, ..StoreConfig::default() });
    let (hash, source) = register(&direct, 3);
    assert_holds(&direct.acquire(&AdapterSet::one(hash)).unwrap()[0], 3);
    assert_eq!((source.reads.load(Ordering::SeqCst), direct.stats().host_bytes), (1, 0));
    let few = store(StoreConfig { registered: 1, ..StoreConfig::default() });
    register(&few, 1);
    assert!(few.register(public(Memory::new(files(2)), None)).is_err());
}

#[test]
fn what_is_beyond_the_limits_is_refused_by_name() {
    let refused = |limits: AdapterLimits, reason: &str| {
        let store = store(StoreConfig { limits, ..StoreConfig::default() });
        let error = store.register(public(Memory::new(files(3)), None)).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!((store.stats().registered, store.stats().host_bytes), (0, 0));
    };
    let limits = AdapterLimits::default();
    refused(AdapterLimits { rank: 3, ..limits }, "rank 4 at model.layers.0.self_attn.q_proj");
    refused(AdapterLimits { tensors: 3, ..limits }, "4 tensors, more than 3");
    refused(AdapterLimits { header_bytes: 64, ..limits }, "header of");
    refused(AdapterLimits { weights_bytes: 1000, ..limits }, "too large");
    refused(AdapterLimits { config_bytes: 10, ..limits }, "too large");
    let exact = AdapterLimits { rank: 4, tensors: 4, ..limits };
    let store = store(StoreConfig { limits: exact, ..StoreConfig::default() });
    assert!(store.register(public(Memory::new(files(3)), None)).is_ok());
}

#[test]
fn unloading_does_not_disturb_who_uses_it() {
    let store = store(slots(2));
    let (hash, _) = register(&store, 7);
    let lease = store.acquire(&AdapterSet::one(hash)).unwrap();
    store.unload(hash).unwrap();
    assert!(matches!(store.unload(hash), Err(Error::UnknownAdapter(_))));
    let again = store.request(&AdapterSet::one(hash), no_one());
    assert!(matches!(again, Err(Error::UnknownAdapter(_))));
    assert_holds(&lease[0], 7);
    assert_eq!((store.adapters().len(), store.stats().resident), (0, 1));
    // The same adapter again is another load in another slot.
    let (_, _) = register(&store, 7);
    let fresh = store.acquire(&AdapterSet::one(hash)).unwrap();
    assert_ne!(fresh[0].slot(), lease[0].slot());
    assert!(fresh[0].generation() > lease[0].generation());
    drop(lease);
    let until = Instant::now() + Duration::from_secs(10);
    while store.stats().resident > 1 {
        assert!(Instant::now() < until, "the slot of an unloaded adapter is never freed");
        std::thread::sleep(Duration::from_millis(1));
    }
    // Those that wait are told.
    let (slow, source) = register(&store, 8);
    source.set_open(false);
    let (sender, woken) = mpsc::channel();
    let sender = Mutex::new(sender);
    let notify: Notify = Arc::new(move || sender.lock().unwrap().send(()).unwrap());
    assert!(is_loading(&store, &AdapterSet::one(slow), notify));
    store.unload(slow).unwrap();
    woken.recv_timeout(Duration::from_secs(10)).unwrap();
    source.set_open(true);
}

#[test]
fn content_that_is_not_what_was_registered_is_refused() {
    let store = store(StoreConfig::default());
    let source = Memory::new(files(1));
    let claimed = files(2).hash();
    store.register(public(source.clone(), Some(claimed))).unwrap();
    let error = store.acquire(&AdapterSet::one(claimed)).unwrap_err().to_string();
    assert!(error.contains(&format!("the content is {}", source.files.hash())), "{error}");
    // It is not read again for everybody who asks.
    assert!(store.acquire(&AdapterSet::one(claimed)).is_err());
    assert_eq!(source.reads.load(Ordering::SeqCst), 1);
    assert_eq!((store.stats().host_bytes, store.stats().resident), (0, 0));
}

#[test]
fn private_adapters_are_as_if_they_did_not_exist_for_others() {
    let store = store(StoreConfig::default());
    let (owner, other) = (OwnerKey([1; 32]), OwnerKey([2; 32]));
    let private = |id: usize, owner: OwnerKey, name: &str| {
        let source = Memory::new(files(id));
        let (name, owner) = (Some(name.to_owned()), Some(owner));
        store.register(Registration { name, owner, source, hash: None }).unwrap()
    };
    let secret = private(1, owner, "mine");
    assert_eq!(store.resolve("mine", Some(&owner)).unwrap(), secret);
    assert_eq!(store.resolve(&secret.to_string(), Some(&owner)).unwrap(), secret);
    for key in [None, Some(&other)] {
        for name in ["mine", &secret.to_string()] {
            let error = |name: &str| match store.resolve(name, key) {
                Err(Error::UnknownAdapter(shown)) => shown,
                other => panic!("{other:?}"),
            };
            assert_eq!(error(name), name);
            assert_eq!(error("no such adapter"), "no such adapter");
        }
        assert!(!store.is_visible(&secret, key) && store.list(key).is_empty());
        assert!(matches!(store.withdraw("mine", key), Err(Error::UnknownAdapter(_))));
        let recipe = Recipe::new(AdapterSet::one(secret), Method::Linear).unwrap();
        let merged = store.merge(&recipe, None, key.copied());
        assert!(matches!(merged, Err(Error::UnknownAdapter(_))));
    }
    // Another's adapter of the same name, and of the same content.
    let others = private(2, other, "mine");
    assert_eq!(store.resolve("mine", Some(&other)).unwrap(), others);
    assert_eq!(store.resolve("mine", Some(&owner)).unwrap(), secret);
    assert_eq!(private(1, other, "same"), secret);
    assert_eq!(store.list(Some(&other)).len(), 2);
    let mine = &store.list(Some(&owner))[0];
    assert_eq!(
        (mine.hash, mine.names.clone(), mine.tier),
        (secret, vec!["mine".into()], Tier::Host)
    );
    store.withdraw("mine", Some(&owner)).unwrap();
    assert!(store.resolve("mine", Some(&owner)).is_err() && store.list(Some(&owner)).is_empty());
    assert_eq!(store.resolve("same", Some(&other)).unwrap(), secret);
    store.withdraw("same", Some(&other)).unwrap();
    assert!(store.request(&AdapterSet::one(secret), no_one()).is_err());
}

#[test]
fn merges_are_adapters_that_are_made_once_and_made_again_when_lost() {
    let store = store(StoreConfig { host_bytes: 0, ..StoreConfig::default() });
    // The same rank.
    let (first, _) = register(&store, 1);
    let (second, source) = register(&store, 5);
    let parts = AdapterSet::new(vec![(first, 0.5), (second, 2.0)]).unwrap();
    let recipe = Recipe::new(parts, Method::Linear).unwrap();
    let merged = store.merge(&recipe, Some("both".into()), None).unwrap();
    assert_eq!(store.resolve("both", None).unwrap(), merged);
    let reads = source.reads.load(Ordering::SeqCst);
    assert_eq!(store.merge(&recipe, None, None).unwrap(), merged);
    assert_eq!(source.reads.load(Ordering::SeqCst), reads);
    let lease = store.acquire(&AdapterSet::one(merged)).unwrap();
    let value = lease[0].adapter().weights()[0].a[0];
    let expected = 0.5f32.sqrt() * (1.0 + 1.0 / 3.0) + 2.0f32.sqrt() * (5.0 + 1.0 / 3.0);
    assert!((value - expected).abs() < 1e-5, "{value} {expected}");
    assert_eq!(store.recipe(&merged), Some(recipe));
    let answered = AdapterSet::new(vec![(merged, 0.5), (first, 1.0)]).unwrap();
    let mut credits = vec![(first, 1.25), (second, 1.0)];
    credits.sort_by_key(|(hash, _)| *hash);
    assert_eq!(store.credits(&answered), credits);
}

#[test]
fn ten_thousand_registered_adapters_take_a_few_megabytes() {
    let resident = || -> usize {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let store = store(StoreConfig::default());
    let before = resident();
    for id in 0..10_000usize {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&id.to_le_bytes());
        let source = store.folder(&std::path::PathBuf::from(format!("/srv/adapters/number-{id}")));
        let name = Some(format!("customer-{id}"));
        let hash = Some(AdapterHash(hash));
        store.register(Registration { name, owner: None, source, hash }).unwrap();
    }
    let kib = resident().saturating_sub(before);
    assert_eq!(store.stats().registered, 10_000);
    // Other tests run beside this one.
    println!("{kib} KiB for 10,000 registered adapters");
    assert!(kib < 64 << 10, "{kib} KiB");
}
