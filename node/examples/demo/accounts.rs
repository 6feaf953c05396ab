//! Who takes part. Keys are derived from names, so every run has the same cast.

use alloy::{
    primitives::{Address, keccak256},
    signers::local::PrivateKeySigner,
};

/// One participant.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) key: PrivateKeySigner,
}

impl Account {
    pub(crate) fn named(name: &'static str) -> Self {
        let secret = keccak256(format!("openledger demo: {name}"));
        let key = PrivateKeySigner::from_bytes(&secret).expect("a hash is a valid key");
        Self { name, key }
    }

    pub(crate) const fn address(&self) -> Address {
        self.key.address()
    }
}

/// An honest contributor and the folder of the package that it contributes.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) account: Account,
    /// Index into the two Datanets.
    pub(crate) datanet: usize,
    /// Path prefixes inside the package; the first source that has one takes the file.
    pub(crate) folders: &'static [&'static str],
}

/// Everybody in the demo.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    pub(crate) deployer: Account,
    pub(crate) treasury: Account,
    pub(crate) operator: Account,
    pub(crate) attestor: Account,
    pub(crate) builders: [Account; 2],
    pub(crate) users: [Account; 3],
    pub(crate) sources: Vec<Source>,
    /// Contributes rows whose words are in random order.
    pub(crate) shuffler: Account,
    /// Contributes copies of another's rows.
    pub(crate) copier: Account,
}

impl Cast {
    pub(crate) fn assemble() -> Self {
        let source =
            |name, datanet, folders| Source { account: Account::named(name), datanet, folders };
        Self {
            deployer: Account::named("deployer"),
            treasury: Account::named("treasury"),
            operator: Account::named("operator"),
            attestor: Account::named("attestor"),
            builders: ["builder-oz", "builder-solady"].map(Account::named),
            users: ["ana", "ben", "chloe"].map(Account::named),
            sources: vec![
                source("oz-access", 0, &["access/", "metatx/", "finance/"]),
                source("oz-account", 0, &["account/", "crosschain/"]),
                source("oz-governance", 0, &["governance/"]),
                source("oz-proxy", 0, &["proxy/", "interfaces/"]),
                source("oz-erc20", 0, &["token/ERC20/"]),
                source("oz-token", 0, &["token/"]),
                source("oz-cryptography", 0, &["utils/cryptography/"]),
                source("oz-structs", 0, &["utils/structs/"]),
                source("oz-utils", 0, &["utils/"]),
                source("solady-accounts", 1, &["accounts/"]),
                source("solady-auth", 1, &["auth/"]),
                source("solady-tokens", 1, &["tokens/"]),
                source("solady-lib", 1, &["utils/Lib"]),
                source("solady-utils", 1, &["utils/"]),
            ],
            shuffler: Account::named("shuffler"),
            copier: Account::named("copier"),
        }
    }

    /// All who contribute to Datanet `datanet`, honest ones first.
    pub(crate) fn contributors(&self) -> impl Iterator<Item = &Account> {
        self.sources.iter().map(|s| &s.account).chain([&self.shuffler, &self.copier])
    }

    /// Everybody who sends transactions and so needs coins.
    pub(crate) fn senders(&self) -> impl Iterator<Item = &Account> {
        [&self.deployer, &self.operator]
            .into_iter()
            .chain(&self.builders)
            .chain(&self.users)
            .chain(self.contributors())
    }
}
