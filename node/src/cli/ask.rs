//! `openledger ask`

use std::{io::Write, time::Duration};

use alloy::primitives::B256;
use clap::Args;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use node::{
    api::sources::{RetrievalJson, UnsupportedJson},
    client::{ChatCall, RetrievalAsk},
};

use super::chat::{self, CallArguments};

#[derive(Debug, Args)]
pub(crate) struct AskArguments {
    #[command(flatten)]
    call: CallArguments,
    /// Datanet to answer from; may be repeated. Without it, all of the model's.
    #[arg(long, value_name = "ID")]
    datanet: Vec<B256>,
    /// Most rows to answer from.
    #[arg(long, value_name = "ROWS")]
    rows: Option<u64>,
    /// What to ask.
    question: String,
}

pub(crate) async fn run(arguments: AskArguments) -> eyre::Result<()> {
    let AskArguments { call, datanet, rows, question } = arguments;
    let patience = Duration::from_secs(call.patience);
    let client = chat::open(&call).await?;
    let retrieval = Some(RetrievalAsk { datanets: datanet, limit: rows });
    let call = ChatCall {
        max_tokens: call.max_tokens,
        temperature: call.temperature,
        seed: call.seed,
        retrieval,
        ..ChatCall::ask(&call.model, &question)
    };
    let mut show = |piece: &str| {
        print!("{piece}");
        // A terminal that is gone ends the program at the next line.
        let _ = std::io::stdout().flush();
    };
    let reply = client.chat(&call, patience, &mut show).await?;
    println!("\n");
    if let Some(retrieval) = &reply.statement.retrieval {
        sources(retrieval, &reply.text);
    }
    chat::receipt(&reply)
}

fn sources(retrieval: &RetrievalJson, text: &str) {
    if !retrieval.has_sources {
        println!("no row fits the question: the answer has no sources");
        return;
    }
    let mut table = Table::new();
    let header = ["", "source", "datanet", "contributor", "relevance", "uses", "credit (gwei)"];
    table.load_preset(UTF8_BORDERS_ONLY).set_header(header);
    for source in &retrieval.sources {
        let cited = retrieval.citations.iter().find(|cited| cited.source.mark == source.mark);
        let datanet = source.datanet.to_string();
        table.add_row([
            format!("[{}]", source.mark),
            format!("{} (row {})", source.source, source.row),
            format!("{}… v{}", &datanet[..10], source.version),
            source.contributor.to_string(),
            source.relevance.to_string(),
            cited.map_or_else(String::new, |cited| cited.uses.to_string()),
            cited.map_or_else(String::new, |cited| cited.credit.0.to_string()),
        ]);
    }
    println!("{table}");
    for sentence in &retrieval.unsupported {
        println!("no support ({}): {}", reason(sentence), quoted(sentence, text));
    }
}

fn reason(sentence: &UnsupportedJson) -> String {
    let words = sentence.reason.replace('_', " ");
    sentence.number.as_ref().map_or(words.clone(), |number| format!("{words}: {number}"))
}

fn quoted<'a>(sentence: &UnsupportedJson, text: &'a str) -> &'a str {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    text.get(place(sentence.start)..place(sentence.end)).unwrap_or_default()
}
