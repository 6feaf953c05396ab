//! The forward pass of a BERT encoder (Devlin et al. 2019) on the fixed-order kernels.
//!
//! Texts stand one behind the other, without padding: every product is over all tokens of all texts,
//! attention over each text alone. A token's numbers depend on its own text and on nothing else: not
//! on the other texts, the threads or the processor.

use std::{collections::HashMap, ops::Range};

use candle_transformers::models::bert::{Config, HiddenAct};

use crate::{
    Error, Result,
    kernels::{Affine, HeadShape, Kernel, PackedHead, Rows, dispatch, head_forward},
    layers::{activation::Activation, norm::moments},
};

/// A loaded network; runs on the calling thread.
pub(super) struct Network {
    width: usize,
    heads: usize,
    /// `(vocabulary, width)`
    words: Vec<f32>,
    /// `(positions, width)`
    positions: Vec<f32>,
    /// `(width,)`: every token is of the first type.
    kind: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    activation: HiddenAct,
}

struct Layer {
    /// Queries, keys and values, one behind the other.
    inputs: Affine,
    output: Affine,
    attended: Norm,
    up: Affine,
    down: Affine,
    done: Norm,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl Network {
    /// - `tensors`: values of every tensor of the model, by name
    ///
    /// # Errors
    /// [`Error::Weights`] if one is missing.
    pub(super) fn new(tensors: HashMap<String, Vec<f32>>, config: &Config) -> Result<Self> {
        let mut source = Source { tensors, config };
        let mut kind = source.take("embeddings.token_type_embeddings.weight")?;
        kind.truncate(config.hidden_size);
        Ok(Self {
            width: config.hidden_size,
            heads: config.num_attention_heads,
            words: source.take("embeddings.word_embeddings.weight")?,
            positions: source.take("embeddings.position_embeddings.weight")?,
            kind,
            norm: source.norm("embeddings")?,
            layers: (0..config.num_hidden_layers)
                .map(|number| source.layer(&format!("encoder.layer.{number}")))
                .collect::<Result<_>>()?,
            activation: config.hidden_act,
        })
    }

    /// Last hidden states of some texts, one behind the other: `(tokens of all, width)`.
    ///
    /// # Panics
    /// If a text has no tokens, more than the model has positions, or one that is not in its
    /// vocabulary.
    pub(super) fn forward(&self, texts: &[Vec<u32>]) -> Vec<f32> {
        let mut spans = Vec::with_capacity(texts.len());
        let mut x = Vec::new();
        for text in texts {
            let first = x.len() / self.width;
            spans.push(first..first + text.len());
            self.embed(text, &mut x);
        }
        self.norm.apply(&mut x, None);
        for layer in &self.layers {
            let inputs = layer.inputs.of(self.rows(&x));
            let seen = self.attention(&inputs, &spans);
            layer.attended.apply(&mut x, Some(&layer.output.of(self.rows(&seen))));
            let mut wide = layer.up.of(self.rows(&x));
            self.activate(&mut wide);
            let wide = Rows::whole(&wide, layer.up.columns());
            layer.done.apply(&mut x, Some(&layer.down.of(wide)));
        }
        x
    }

    fn rows<'a>(&self, values: &'a [f32]) -> Rows<'a> {
        Rows::whole(values, self.width)
    }

    /// Adds the rows of a text's tokens.
    fn embed(&self, text: &[u32], x: &mut Vec<f32>) {
        for (place, token) in text.iter().enumerate() {
            let word = &self.words[*token as usize * self.width..][..self.width];
            let position = &self.positions[place * self.width..][..self.width];
            let parts = word.iter().zip(&self.kind).zip(position);
            x.extend(parts.map(|((word, kind), position)| word + kind + position));
        }
    }

    /// `softmax(q k / sqrt(d)) v` of each head of each text.
    ///
    /// - `inputs`: `(tokens, 3 width)`
    fn attention(&self, inputs: &[f32], spans: &[Range<usize>]) -> Vec<f32> {
        let (width, of) = (self.width, self.width / self.heads);
        let mut seen = vec![0.0; inputs.len() / 3];
        let mut out = Vec::new();
        for span in spans {
            let inputs =
                Rows::whole(&inputs[span.start * 3 * width..span.end * 3 * width], 3 * width);
            out.resize(span.len() * of, 0.0);
            for first in (0..width).step_by(of) {
                let head = PackedHead::new(
                    inputs.columns(width + first, of),
                    inputs.columns(2 * width + first, of),
                );
                let queries = inputs.columns(first, of);
                head_forward(self.head(span.len()), queries, &head, &mut out);
                let rows = seen[span.start * width..span.end * width].chunks_exact_mut(width);
                for (row, out) in rows.zip(out.chunks_exact(of)) {
                    row[first..first + of].copy_from_slice(out);
                }
            }
        }
        seen
    }

    /// A head of a text of `tokens`, all of which see all.
    fn head(&self, tokens: usize) -> HeadShape<'static> {
        let of = self.width / self.heads;
        HeadShape {
            first: tokens - 1,
            one_token: true,
            key_dim: of,
            value_dim: of,
            scale: 1.0 / (of as f32).sqrt(),
            softcap: None,
            window: None,
            slopes: &[],
        }
    }

    fn activate(&self, values: &mut [f32]) {
        match self.activation {
            HiddenAct::Gelu => Activation::Gelu.replace(values),
            HiddenAct::GeluApproximate => Activation::GeluTanh.replace(values),
            HiddenAct::Relu => values.iter_mut().for_each(|value| *value = value.max(0.0)),
        }
    }
}

impl Norm {
    /// `x = norm(x + y)`, row by row.
    fn apply(&self, x: &mut [f32], y: Option<&[f32]>) {
        dispatch(AddNorm { norm: self, x, y });
    }
}

struct AddNorm<'a> {
    norm: &'a Norm,
    x: &'a mut [f32],
    y: Option<&'a [f32]>,
}

impl Kernel for AddNorm<'_> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Norm { weight, bias, eps } = self.norm;
        let width = weight.len();
        for (at, row) in self.x.chunks_exact_mut(width).enumerate() {
            if let Some(y) = self.y {
                row.iter_mut().zip(&y[at * width..]).for_each(|(x, y)| *x += y);
            }
            let (mean, scale) = moments(row, *eps);
            for i in 0..width {
                row[i] = weight[i] * ((row[i] - mean) * scale) + bias[i];
            }
        }
    }
}

/// Where the network's parts are read from.
struct Source<'a> {
    tensors: HashMap<String, Vec<f32>>,
    config: &'a Config,
}

impl Source<'_> {
    fn take(&mut self, name: &str) -> Result<Vec<f32>> {
        self.tensors.remove(name).ok_or_else(|| Error::Weights(format!("no tensor {name}")))
    }

    fn norm(&mut self, at: &str) -> Result<Norm> {
        Ok(Norm {
            weight: self.take(&format!("{at}.LayerNorm.weight"))?,
            bias: self.take(&format!("{at}.LayerNorm.bias"))?,
            eps: self.config.layer_norm_eps as f32,
        })
    }

    /// The maps of these names as one, their results one behind the other.
    fn affine(&mut self, names: &[String], d_in: usize) -> Result<Affine> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weight.extend(self.take(&format!("{name}.weight"))?);
            bias.extend(self.take(&format!("{name}.bias"))?);
        }
        Ok(Affine::new(Rows::whole(&weight, d_in), bias))
    }

    fn layer(&mut self, at: &str) -> Result<Layer> {
        let (width, wide) = (self.config.hidden_size, self.config.intermediate_size);
        let inputs = ["query", "key", "value"].map(|part| format!("{at}.attention.self.{part}"));
        Ok(Layer {
            inputs: self.affine(&inputs, width)?,
            output: self.affine(&[format!("{at}.attention.output.dense")], width)?,
            attended: self.norm(&format!("{at}.attention.output"))?,
            up: self.affine(&[format!("{at}.intermediate.dense")], width)?,
            down: self.affine(&[format!("{at}.output.dense")], wide)?,
            done: self.norm(&format!("{at}.output"))?,
        })
    }
}
