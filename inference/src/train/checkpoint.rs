//! Saving a run and going on with it.

use std::{collections::HashMap, path::Path};

use safetensors::SafeTensors;

use super::{optimizer::Moments, trainer::Trainer};
use crate::{
    Error, Result,
    layers::{tensor, with_values},
    weights::{self, Storage},
};

impl Trainer {
    /// Writes variables, optimiser state and step to one file, which replaces the old one at once.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = Vec::new();
        let optimizer = self.optimizer();
        for ((name, variable), moments) in optimizer.variables().iter().zip(&optimizer.moments) {
            let shape = variable.dims().to_vec();
            let values = with_values(variable, <[f32]>::to_vec)?;
            tensors.push((format!("weight.{name}"), shape.clone(), values));
            tensors.push((format!("first.{name}"), shape.clone(), moments.first.clone()));
            tensors.push((format!("second.{name}"), shape, moments.second.clone()));
        }
        let settings = serde_json::to_string(self.settings())
            .map_err(|error| Error::Training(error.to_string()))?;
        let metadata = HashMap::from([
            ("step".to_owned(), self.steps_done().to_string()),
            ("settings".to_owned(), settings),
        ]);
        weights::save(path, &tensors, Storage::F32, Some(metadata))
    }

    /// Takes up a run that [`Self::save`] wrote: the next steps are those that the saved trainer
    /// would have made.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Training`] if it is damaged, or of other
    /// variables or settings. Nothing has changed then.
    pub fn resume(&mut self, path: &Path) -> Result<()> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let bad = |what: String| Error::Training(format!("checkpoint: {what}"));
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| bad(error.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let settings = serde_json::to_string(self.settings())
            .map_err(|error| Error::Training(error.to_string()))?;
        if metadata.get("settings") != Some(&settings) {
            return Err(bad("it was made with other settings".into()));
        }
        let steps = metadata.get("step").and_then(|step| step.parse().ok());
        let steps = steps.ok_or_else(|| bad("it has no step".into()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| bad(error.to_string()))?;

        let mut weights = Vec::new();
        let mut moments = Vec::new();
        for (name, variable) in self.optimizer().variables() {
            let read = |kind: &str| {
                let name = format!("{kind}.{name}");
                let view = tensors.tensor(&name).map_err(|error| bad(error.to_string()))?;
                if view.shape() != variable.dims() {
                    return Err(bad(format!("{name} has shape {:?}", view.shape())));
                }
                weights::widen(&name, &view)
            };
            weights.push(tensor(read("weight")?, variable.shape())?);
            moments.push(Moments { first: read("first")?, second: read("second")? });
        }
        for ((_, variable), weight) in self.optimizer().variables().iter().zip(&weights) {
            variable.set(weight)?;
        }
        let optimizer = self.optimizer_mut();
        optimizer.moments = moments;
        optimizer.steps = steps;
        Ok(())
    }
}
