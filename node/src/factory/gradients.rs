//! Gradients of rows, several from one backward pass.

use inference::{
    gradient::{SiteGradient, row_gradients},
    model::Decoder,
    tokenizer::Tokenizer,
    train::{Example, TrainableLora},
};

use super::rows::row_example;
use crate::{Result, datanet::Row};

/// Most rows that wait for a backward pass.
const MAX_WAITING: usize = 256;

/// The model whose gradients are meant, and what it is given of rows.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) decoder: &'a Decoder,
    pub(crate) lora: &'a TrainableLora,
    pub(crate) tokenizer: &'a Tokenizer,
    /// Tokens of a row that are used.
    pub(crate) max_tokens: usize,
    /// Tokens of one backward pass; what bounds its memory.
    pub(crate) batch_tokens: usize,
}

impl Source<'_> {
    /// Most tokens of a row that the model is given.
    pub(crate) fn longest(&self) -> usize {
        self.max_tokens.min(self.decoder.spec().max_positions)
    }

    /// A row as an example; `None` if it has no token to predict.
    pub(super) fn example(&self, row: &Row) -> Result<Option<Example>> {
        row_example(self.tokenizer, &row.text, self.longest())
    }

    /// Calls `take` with each row that has a token to predict, in order, and its gradient.
    pub(crate) fn each<'r>(
        self,
        rows: impl IntoIterator<Item = &'r Row>,
        take: &mut dyn FnMut(&'r Row, Vec<SiteGradient>) -> Result<()>,
    ) -> Result<()> {
        let mut pass = Pass::new(self);
        let mut hand = |done: Done<&'r Row>| {
            done.into_iter()
                .try_for_each(|(row, gradient)| gradient.map_or(Ok(()), |g| take(row, g)))
        };
        for row in rows {
            if let Some(example) = self.example(row)? {
                hand(pass.push(row, Some(example))?)?;
            }
        }
        hand(pass.run()?)
    }
}

/// Rows behind a backward pass, in order, with the gradients of those that had an example.
pub(super) type Done<K> = Vec<(K, Option<Vec<SiteGradient>>)>;

/// Rows that wait for one backward pass. How they fall into passes does not change a gradient's bits.
pub(super) struct Pass<'a, K> {
    source: Source<'a>,
    waiting: Vec<(K, Option<Example>)>,
    tokens: usize,
}

impl<'a, K> Pass<'a, K> {
    pub(super) const fn new(source: Source<'a>) -> Self {
        Self { source, waiting: Vec::new(), tokens: 0 }
    }

    /// Adds a row, one without an example if its gradient is not needed; runs when enough wait.
    pub(super) fn push(&mut self, row: K, example: Option<Example>) -> Result<Done<K>> {
        self.tokens += example.as_ref().map_or(0, |example| example.tokens.len());
        self.waiting.push((row, example));
        if self.tokens >= self.source.batch_tokens || self.waiting.len() >= MAX_WAITING {
            self.run()
        } else {
            Ok(Vec::new())
        }
    }

    /// Gradients of what waits.
    pub(super) fn run(&mut self) -> Result<Done<K>> {
        self.tokens = 0;
        let (rows, examples): (Vec<K>, Vec<Option<Example>>) =
            std::mem::take(&mut self.waiting).into_iter().unzip();
        let wanted: Vec<bool> = examples.iter().map(Option::is_some).collect();
        let examples: Vec<Example> = examples.into_iter().flatten().collect();
        let mut gradients = match examples.is_empty() {
            true => Vec::new(),
            false => row_gradients(self.source.decoder, self.source.lora, &examples)?,
        }
        .into_iter();
        let gradient = |is_wanted: bool| {
            is_wanted.then(|| gradients.next().expect("every example has a gradient"))
        };
        Ok(rows.into_iter().zip(wanted.into_iter().map(gradient)).collect())
    }
}
