//! `openledger graph`

mod leaders;
mod tree;

use std::time::Duration;

use clap::{Args, ValueEnum};
use eyre::WrapErr;
use node::{client::NodeClient, graph::GraphAnswer};

use self::tree::tree;

/// How long a node is waited for: it may have to fetch ledgers.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(crate) struct GraphArguments {
    /// What is asked about.
    kind: Kind,
    /// Its id: a voucher's digest, a model's id, DATANET/VERSION, a row's hash, an address; none of all
    /// and of rankings.
    #[arg(default_value = "")]
    id: String,
    /// The node that is asked.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    node_url: String,
    /// Only batches of this operator; of a call, where it is looked for.
    #[arg(long, value_name = "ADDRESS")]
    operator: Option<String>,
    /// Also batches that are not final.
    #[arg(long)]
    open: bool,
    /// Places of a ranking.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    top: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Call,
    Model,
    Datanet,
    Row,
    Account,
    /// Everything: who earned the most, which models were called the most.
    All,
    /// Who earned the most as contributor.
    Contributors,
    /// Which Datanets' rows earned the most.
    Datanets,
}

pub(crate) async fn run(arguments: GraphArguments) -> eyre::Result<()> {
    let client = NodeClient::new(&arguments.node_url)?;
    let GraphArguments { kind, id, .. } = &arguments;
    let path = match kind {
        Kind::Call => {
            format!("calls/{}", id.rsplit_once('-').map_or(&**id, |(_, digest)| digest))
        }
        Kind::Model => format!("models/{id}"),
        Kind::Datanet => format!("datanets/{id}"),
        Kind::Row => format!("rows/{id}"),
        Kind::Account => format!("accounts/{id}"),
        Kind::All => "all".to_owned(),
        Kind::Contributors => return rank(&client, "contributors", &arguments).await,
        Kind::Datanets => return rank(&client, "datanets", &arguments).await,
    };
    let whole = fetch(&client, &path, &arguments).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&whole)?);
    } else {
        print!("{}", tree(&whole));
    }
    Ok(())
}

async fn rank(client: &NodeClient, board: &str, arguments: &GraphArguments) -> eyre::Result<()> {
    let leaders = leaders::fetch(client, board, arguments.top, PATIENCE).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&leaders)?);
    } else {
        print!("{}", leaders::table(&leaders));
    }
    Ok(())
}

/// All pages of an answer.
async fn fetch(
    client: &NodeClient,
    path: &str,
    arguments: &GraphArguments,
) -> eyre::Result<GraphAnswer> {
    let (mut whole, mut after) = (None::<GraphAnswer>, None::<String>);
    loop {
        let mut query = vec![];
        query.extend(arguments.operator.as_ref().map(|one| format!("operator={one}")));
        query.extend(arguments.open.then(|| "open=true".to_owned()));
        query.extend(after.as_ref().map(|place| format!("after={place}")));
        let body = client.get(&format!("/v1/graph/{path}?{}", query.join("&")), PATIENCE).await?;
        let page: GraphAnswer = serde_json::from_value(body).wrap_err("the node's graph")?;
        after = page.next.clone();
        let read = match whole.take() {
            Some(whole) => whole.and(page),
            None => page,
        };
        if after.is_none() {
            return Ok(read);
        }
        whole = Some(read);
    }
}
