//! One measured figure.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    backend: &'static str,
    row: &'static str,
    value: f64,
    unit: &'static str,
    floor: Option<f64>,
    ratio: Option<f64>,
    budget: Option<&'static str>,
}

impl Row {
    /// A figure that stands for itself.
    pub(crate) fn figure(backend: &'static str, row: &'static str, value: f64, unit: &'static str) -> Self {
        Self { backend, row, value, unit, floor: None, ratio: None, budget: None }
    }

    /// A figure and the raw driver's, with the ratio of the two.
    pub(crate) fn against(self, floor: f64, ratio: f64) -> Self {
        Self { floor: Some(floor), ratio: Some(ratio), ..self }
    }

    /// What it has to keep to: `>= 0.7` or `<= 1.4`.
    pub(crate) fn budget(self, budget: &'static str) -> Self {
        Self { budget: Some(budget), ..self }
    }
}
