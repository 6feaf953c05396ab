//! Names and shapes of a model's modules, as its specification has them.

use super::{
    Site, SiteId,
    block::{Attention, Block, Dense, LatentQuery, Mlp, Norms, Qkv},
    shard::Split,
};
use crate::config::{
    AttentionSpec, ExpertSpec, MlpForm, ModelSpec, Names, PositionSpec, QkvForm, ResidualForm,
};
use crate::layers::norm::NormKind;

/// Epsilon of the norms of DeepSeek's latents, which do not have the configuration's.
const LATENT_EPS: f32 = 1e-6;

/// One projection.
#[derive(Clone, Debug)]
pub(super) struct LinearPlan {
    pub(super) path: String,
    pub(super) d_in: usize,
    pub(super) d_out: usize,
    pub(super) bias: bool,
    /// Whether the checkpoint holds `(d_in, d_out)`.
    pub(super) fan_in_fan_out: bool,
    /// Whether its result is added to the residual stream.
    pub(super) residual: bool,
    /// Whether adapters may act on it.
    pub(super) is_site: bool,
    /// Whether it is kept as it is stored when others are quantised.
    pub(super) exact: bool,
    /// Which part of it a rank has.
    pub(super) split: Split,
}

/// One norm.
#[derive(Clone, Debug)]
pub(super) struct NormPlan {
    pub(super) path: String,
    pub(super) kind: NormKind,
    pub(super) width: usize,
    pub(super) eps: f32,
}

/// A table of vectors.
#[derive(Clone, Debug)]
pub(super) struct TablePlan {
    pub(super) path: &'static str,
    pub(super) rows: usize,
    pub(super) width: usize,
}

/// All modules, in the order in which weights are listed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) embedding: TablePlan,
    pub(super) positions: Option<TablePlan>,
    pub(super) embedding_norm: Option<NormPlan>,
    pub(super) layers: Vec<Block<LinearPlan, NormPlan>>,
    pub(super) final_norm: NormPlan,
    /// Absent where the embedding table is the output projection.
    pub(super) head: Option<LinearPlan>,
}

impl Plan {
    pub(super) fn new(spec: &ModelSpec) -> Self {
        let ModelSpec { names, hidden_size, vocab_size, .. } = spec;
        let norm = |path: &str| norm_plan(spec, path.into());
        let table = |path, rows| TablePlan { path, rows, width: *hidden_size };
        let learned = spec.positions == PositionSpec::Learned;
        let head = LinearPlan {
            path: names.head.into(),
            d_in: *hidden_size,
            d_out: *vocab_size,
            bias: false,
            fan_in_fan_out: false,
            residual: false,
            is_site: false,
            exact: false,
            split: Split::Whole,
        };
        Self {
            embedding: table(names.embedding, *vocab_size),
            positions: learned.then(|| table(names.positions, spec.max_positions)),
            embedding_norm: spec.embedding_norm.then(|| norm(names.embedding_norm)),
            layers: (0..spec.layers).map(|index| LayerPlanner::new(spec, index).block()).collect(),
            final_norm: norm(names.final_norm),
            head: (!spec.tied_embeddings).then_some(head),
        }
    }
}

const fn norm_plan(spec: &ModelSpec, path: String) -> NormPlan {
    NormPlan { path, kind: spec.norm.kind, width: spec.hidden_size, eps: spec.norm.eps }
}

struct LayerPlanner<'a> {
    spec: &'a ModelSpec,
    names: &'a Names,
    index: usize,
}

impl<'a> LayerPlanner<'a> {
    const fn new(spec: &'a ModelSpec, index: usize) -> Self {
        Self { spec, names: &spec.names, index }
    }

    fn path(&self, name: &str) -> String {
        format!("{}.{}.{name}", self.names.layers, self.index)
    }

    fn linear(&self, name: &str, [d_in, d_out]: [usize; 2], bias: bool) -> LinearPlan {
        LinearPlan {
            path: self.path(name),
            d_in,
            d_out,
            bias,
            fan_in_fan_out: self.names.fan_in_fan_out,
            residual: false,
            is_site: true,
            exact: false,
            split: Split::Whole,
        }
    }

    fn norm(&self, name: &str) -> NormPlan {
        norm_plan(self.spec, self.path(name))
    }

    fn block(&self) -> Block<LinearPlan, NormPlan> {
        let names = self.names;
        let sandwich = self.spec.residual == ResidualForm::Sandwich;
        let shared = self.spec.residual == ResidualForm::Parallel { shared_norm: true };
        Block {
            attention: self.attention(),
            mlp: self.mlp(),
            norms: Norms {
                attention: self.norm(names.attention_norm),
                attention_post: sandwich.then(|| self.norm(names.attention_post_norm)),
                mlp: (!shared).then(|| self.norm(names.mlp_norm)),
                mlp_post: sandwich.then(|| self.norm(names.mlp_post_norm)),
            },
        }
    }

    fn attention(&self) -> Attention<LinearPlan, NormPlan> {
        let AttentionSpec { heads, kv_heads, head_dim, value_dim, .. } = self.spec.attention;
        let (spec, names, hidden) =
            (&self.spec.attention, &self.names.attention, self.spec.hidden_size);
        let (queries, keys, values) = (heads * head_dim, kv_heads * head_dim, kv_heads * value_dim);
        let part = |name, width| self.linear(name, [hidden, width], spec.qkv_bias);
        let qkv = match spec.form {
            QkvForm::Separate => Qkv::Separate {
                q: part(names.q, queries),
                k: part(names.k, keys),
                v: part(names.v, values),
            },
            QkvForm::FusedParts | QkvForm::FusedHeads => {
                Qkv::Fused(part(names.qkv, queries + keys + values))
            }
            QkvForm::Latent { q_rank, kv_rank, rope_dim } => self.latent(q_rank, kv_rank, rope_dim),
        };
        let head = |name| NormPlan { width: head_dim, ..self.norm(name) };
        let o = self.linear(names.o, [heads * value_dim, hidden], spec.out_bias);
        Attention {
            qkv,
            o: LinearPlan { residual: true, ..o },
            head_norms: spec.qk_norm.then(|| (head(names.q_norm), head(names.k_norm))),
        }
    }

    fn latent(
        &self,
        q_rank: Option<usize>,
        kv_rank: usize,
        rope_dim: usize,
    ) -> Qkv<LinearPlan, NormPlan> {
        let spec = &self.spec.attention;
        let hidden = self.spec.hidden_size;
        let queries = spec.heads * spec.head_dim;
        let expanded = spec.heads * (spec.head_dim - rope_dim + spec.value_dim);
        let norm = |name, width| NormPlan { width, eps: LATENT_EPS, ..self.norm(name) };
        let q = match q_rank {
            None => LatentQuery::Full(self.linear("self_attn.q_proj", [hidden, queries], false)),
            Some(rank) => LatentQuery::Latent {
                a: self.linear("self_attn.q_a_proj", [hidden, rank], spec.qkv_bias),
                b: self.linear("self_attn.q_b_proj", [rank, queries], false),
                norm: norm("self_attn.q_a_layernorm", rank),
            },
        };
        let compressed = [hidden, kv_rank + rope_dim];
        Qkv::Latent {
            q,
            kv_a: self.linear("self_attn.kv_a_proj_with_mqa", compressed, spec.qkv_bias),
            kv_b: self.linear("self_attn.kv_b_proj", [kv_rank, expanded], false),
            kv_norm: norm("self_attn.kv_a_layernorm", kv_rank),
        }
    }

    fn mlp(&self) -> Mlp<LinearPlan> {
        let mlp = self.names.mlp;
        match &self.spec.experts {
            Some(experts) if experts.in_layer(self.index) => self.experts(experts),
            _ => Mlp::Dense(self.dense(mlp, self.spec.mlp.form, self.spec.mlp.intermediate_size)),
        }
    }

    fn experts(&self, experts: &ExpertSpec) -> Mlp<LinearPlan> {
        let mlp = self.names.mlp;
        let router =
            self.linear(&format!("{mlp}.gate"), [self.spec.hidden_size, experts.count], false);
        let expert =
            |index| self.dense(&format!("{mlp}.experts.{index}"), MlpForm::Gated, experts.width);
        let shared = (experts.shared_width > 0).then(|| {
            self.dense(&format!("{mlp}.shared_experts"), MlpForm::Gated, experts.shared_width)
        });
        Mlp::Experts {
            // A parameter of its own in the model's code, not a linear module; rounding it would
            // change which experts are chosen.
            router: LinearPlan { is_site: false, exact: true, ..router },
            experts: (0..experts.count).map(expert).collect(),
            shared,
        }
    }

    fn dense(&self, mlp: &str, form: MlpForm, inner: usize) -> Dense<LinearPlan> {
        let (names, hidden, bias) = (self.names, self.spec.hidden_size, self.spec.mlp.bias);
        let linear = |name, shape| self.linear(&format!("{mlp}.{name}"), shape, bias);
        let up = |name| linear(name, [hidden, inner]);
        let down = LinearPlan { residual: true, ..linear(names.down, [inner, hidden]) };
        match form {
            MlpForm::Gated => Dense::Gated { gate: up(names.gate), up: up(names.up), down },
            MlpForm::FusedGated => {
                Dense::FusedGated { gate_up: linear(names.gate_up, [hidden, 2 * inner]), down }
            }
            MlpForm::Plain => Dense::Plain { up: up(names.up), down },
        }
    }
}

impl LinearPlan {
    /// The site that this projection is, if adapters may act on it.
    pub(super) fn site(&self, id: SiteId) -> Option<Site> {
        let Self { path, d_in, d_out, fan_in_fan_out, .. } = self;
        self.is_site.then(|| Site::new(id, path.clone(), *d_in, *d_out, *fan_in_fan_out))
    }
}
