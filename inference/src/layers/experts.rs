//! Choice and weighted sum of experts.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, bail};

use crate::{
    Result,
    config::ExpertSpec,
    layers::{contiguous, tensor, with_values},
};

/// Which experts each token of a step has. A token's experts depend on its own scores only.
#[derive(Clone, Debug)]
pub struct Routes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Tokens of each expert, in order.
    tokens: Vec<Vec<usize>>,
    /// For each token its experts in order, each with the row of its result.
    entries: Vec<(usize, usize)>,
    per_token: usize,
    normalise: bool,
    scale: f32,
}

impl Routes {
    /// The best experts by `scores (tokens, experts)`; among equals the one with the lower number.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if there is not one score per expert.
    pub fn choose(spec: &ExpertSpec, scores: &Tensor) -> Result<Self> {
        let (rows, count) = scores.dims2()?;
        if count != spec.count {
            return Err(crate::Error::Shape(format!("{count} scores for {} experts", spec.count)));
        }
        let chosen: Vec<Vec<usize>> = with_values(scores, |scores| {
            scores.chunks_exact(count).map(|scores| best_experts(spec, scores)).collect()
        })?;
        let mut tokens = vec![Vec::new(); count];
        for (token, experts) in chosen.iter().enumerate() {
            experts.iter().for_each(|&expert| tokens[expert].push(token));
        }
        let mut next = Vec::with_capacity(count);
        let mut start = 0;
        for tokens in &tokens {
            next.push(start);
            start += tokens.len();
        }
        let mut entries = Vec::with_capacity(rows * spec.per_token);
        for expert in chosen.into_iter().flatten() {
            entries.push((expert, next[expert]));
            next[expert] += 1;
        }
        let (per_token, normalise, scale) = (spec.per_token, spec.normalise, spec.scale);
        Ok(Self { inner: Arc::new(Inner { tokens, entries, per_token, normalise, scale }) })
    }

    /// Experts that have tokens, with these tokens in order.
    pub fn experts(&self) -> impl Iterator<Item = (usize, &[usize])> {
        let all = self.inner.tokens.iter().map(Vec::as_slice).enumerate();
        all.filter(|(_, tokens)| !tokens.is_empty())
    }

    /// `sum_e w_e y_e` for each token, in the order of the experts, where `w` is `scale` times the
    /// token's scores, or the scores divided by their sum; differentiable in both.
    ///
    /// - `y`: results of [`Self::experts`], one after another
    /// - `scores`: `(tokens, experts)`
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if the rows are not those.
    pub fn combine(&self, y: &Tensor, scores: &Tensor) -> Result<Tensor> {
        let op = Combine { routes: Arc::clone(&self.inner) };
        Ok(y.contiguous()?.apply_op2(&scores.contiguous()?, op)?)
    }
}

/// Numbers of the best experts, in order.
fn best_experts(spec: &ExpertSpec, scores: &[f32]) -> Vec<usize> {
    let candidates: Vec<usize> = match spec.groups {
        None => (0..scores.len()).collect(),
        Some((groups, best)) => {
            let size = scores.len() / groups;
            let tops: Vec<f32> = scores
                .chunks_exact(size)
                .map(|group| group.iter().copied().fold(f32::NEG_INFINITY, f32::max))
                .collect();
            let groups = largest((0..groups).collect(), best, |group| tops[group]);
            groups.into_iter().flat_map(|group| group * size..(group + 1) * size).collect()
        }
    };
    largest(candidates, spec.per_token, |expert| scores[expert])
}

/// The `count` of `items` with the largest scores, in the items' order.
fn largest(mut items: Vec<usize>, count: usize, score: impl Fn(usize) -> f32) -> Vec<usize> {
    // Stable, so that equals stay in order.
    items.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
    items.truncate(count);
    items.sort_unstable();
    items
}

/// Rows `rows` of `x (tokens, features)`; differentiable.
///
/// # Errors
/// [`crate::Error::Tensor`] if a row is not there.
pub fn gather(x: &Tensor, rows: &[usize]) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Gather { rows: rows.into() })?)
}

struct Gather {
    rows: Arc<[usize]>,
}

impl CustomOp1 for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (count, width) = l.shape().dims2()?;
        if self.rows.iter().any(|&row| row >= count) {
            bail!("rows {:?} of {count}", self.rows);
        }
        let x = contiguous(x, l)?;
        let out = self.rows.iter().flat_map(|row| &x[row * width..(row + 1) * width]);
        Ok((CpuStorage::F32(out.copied().collect()), (self.rows.len(), width).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (_, width) = x.dims2()?;
        let mut gradient = vec![0.0; x.elem_count()];
        with_values(dy, |dy| {
            for (row, dy) in self.rows.iter().zip(dy.chunks_exact(width)) {
                let dx = &mut gradient[row * width..(row + 1) * width];
                dx.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
            }
        })?;
        Ok(Some(tensor(gradient, x.shape())?))
    }
}

struct Combine {
    routes: Arc<Inner>,
}

impl Combine {
    /// Weights of one token's experts and what they were divided by.
    fn weights(&self, entries: &[(usize, usize)], scores: &[f32]) -> (Vec<f32>, f32) {
        let chosen = entries.iter().map(|(expert, _)| scores[*expert]);
        if !self.routes.normalise {
            return (chosen.map(|score| score * self.routes.scale).collect(), 1.0);
        }
        let total = chosen.clone().sum::<f32>() + 1e-20;
        (chosen.map(|score| score / total).collect(), total)
    }
}

impl CustomOp2 for Combine {
    fn name(&self) -> &'static str {
        "combine-experts"
    }

    fn cpu_fwd(
        &self,
        y: &CpuStorage,
        ly: &Layout,
        scores: &CpuStorage,
        ls: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let ((rows, width), (tokens, count)) = (ly.shape().dims2()?, ls.shape().dims2()?);
        let Inner { entries, per_token, .. } = &*self.routes;
        if rows != entries.len() || rows != tokens * per_token || count != self.routes.tokens.len()
        {
            bail!("{rows} results of {count} experts for {tokens} tokens");
        }
        let (y, scores) = (contiguous(y, ly)?, contiguous(scores, ls)?);
        let mut out = vec![0.0; tokens * width];
        let each = entries.chunks_exact(*per_token).zip(scores.chunks_exact(count));
        for ((entries, scores), out) in each.zip(out.chunks_exact_mut(width.max(1))) {
            let (weights, _) = self.weights(entries, scores);
            for ((_, row), weight) in entries.iter().zip(weights) {
                let y = &y[row * width..(row + 1) * width];
                out.iter_mut().zip(y).for_each(|(sum, y)| *sum += weight * y);
            }
        }
        Ok((CpuStorage::F32(out), (tokens, width).into()))
    }

    /// `dy_e = w_e dout`, `dw_e = dout y_e`; through the sum `S` of normalised weights
    /// `ds_e = (dw_e - sum_k dw_k w_k) / S`.
    fn bwd(
        &self,
        y: &Tensor,
        scores: &Tensor,
        _: &Tensor,
        d_out: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let ((_, width), (_, count)) = (y.dims2()?, scores.dims2()?);
        let Inner { entries, per_token, normalise, scale, .. } = &*self.routes;
        let mut d_y = vec![0.0; y.elem_count()];
        let mut d_scores = vec![0.0; scores.elem_count()];
        let mut token = |y: &[f32], scores: &[f32], d_out: &[f32], at: usize| {
            let entries = &entries[at * per_token..(at + 1) * per_token];
            let (weights, total) = self.weights(entries, &scores[at * count..(at + 1) * count]);
            let d_out = &d_out[at * width..(at + 1) * width];
            let mut d_weights = Vec::with_capacity(*per_token);
            for ((_, row), weight) in entries.iter().zip(&weights) {
                let range = row * width..(row + 1) * width;
                let d_y = &mut d_y[range.clone()];
                d_y.iter_mut().zip(d_out).for_each(|(d, d_out)| *d = weight * d_out);
                d_weights.push(y[range].iter().zip(d_out).map(|(y, d)| y * d).sum::<f32>());
            }
            let along: f32 = d_weights.iter().zip(&weights).map(|(d, w)| d * w).sum();
            for ((expert, _), d_weight) in entries.iter().zip(d_weights) {
                d_scores[at * count + expert] =
                    if *normalise { (d_weight - along) / total } else { d_weight * scale };
            }
        };
        with_values(y, |y| {
            with_values(scores, |scores| {
                with_values(d_out, |d_out| {
                    (0..scores.len() / count).for_each(|at| token(y, scores, d_out, at));
                })
            })
        })???;
        Ok((Some(tensor(d_y, y.shape())?), Some(tensor(d_scores, scores.shape())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{
        elementwise::softmax,
        finite_difference::{check, random},
    };

    fn spec(normalise: bool, groups: Option<(usize, usize)>) -> ExpertSpec {
        ExpertSpec {
            count: 6,
            per_token: 2,
            width: 4,
            shared_width: 0,
            first_layer: 0,
            every: 1,
            groups,
            normalise,
            scale: 1.5,
        }
    }

    #[test]
    fn gradients_equal_finite_differences() {
        // Far apart, so that small steps do not change the choice.
        let scores = softmax(&(random(1, (5, 6)) * 3.0).unwrap()).unwrap();
        for normalise in [false, true] {
            let routes = Routes::choose(&spec(normalise, None), &scores).unwrap();
            check(&[&random(2, (10, 3)), &scores], |v| routes.combine(&v[0], &v[1]));
        }
        check(&[&random(3, (4, 3))], |v| gather(&v[0], &[0, 2, 2]));
    }

    #[test]
    fn each_token_gets_its_own_best_experts() {
        let rows = [[0.1, 0.4, 0.2, 0.1, 0.1, 0.1], [0.3, 0.0, 0.0, 0.3, 0.3, 0.1]];
        let scores = tensor(rows.concat(), (2, 6)).unwrap();
        let routes = Routes::choose(&spec(false, None), &scores).unwrap();
        let expected: [(usize, &[usize]); 4] = [(0, &[1]), (1, &[0]), (2, &[0]), (3, &[1])];
        assert_eq!(routes.experts().collect::<Vec<_>>(), expected);
        // Results in the order of `expected`.
        let y = tensor(vec![1.0, 10.0, 100.0, 1000.0], (4, 1)).unwrap();
        let out = routes.combine(&y, &scores).unwrap().to_vec2::<f32>().unwrap();
        assert!((out[0][0] - 1.5 * (4.0 + 20.0)).abs() < 1e-4);
        assert!((out[1][0] - 1.5 * (0.3 + 300.0)).abs() < 1e-4);
        assert!(Routes::choose(&spec(false, None), &random(1, (2, 5))).is_err());
    }

    #[test]
    fn experts_of_other_groups_are_left_out() {
        // The second and third best of all are in a group whose best is not among the best two.
        let scores = tensor(vec![0.5, 0.0, 0.2, 0.19, 0.25, 0.1], (1, 6)).unwrap();
        let routes = Routes::choose(&spec(false, Some((3, 1))), &scores).unwrap();
        assert_eq!(routes.experts().map(|(e, _)| e).collect::<Vec<_>>(), [0, 1]);
        let routes = Routes::choose(&spec(false, Some((3, 2))), &scores).unwrap();
        assert_eq!(routes.experts().map(|(e, _)| e).collect::<Vec<_>>(), [0, 4]);
    }
}
