//! How much memory a template may take.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Rest, ValueKind, ValueOrKwargs},
};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::reads;

/// Bytes of a value with nothing in it.
const NODE: usize = 32;
/// Most bytes of one value, on top of those of all inputs.
const VALUE_BYTES: usize = 8 << 20;
/// Most bytes of all reads together, for each byte of the inputs, and in all.
const READ_BYTES: usize = 128 << 20;
const READS_OF_INPUT: usize = 512;
const MOST_READ_BYTES: usize = 1 << 30;
/// Most levels of values inside of values.
const MAX_DEPTH: usize = 64;
/// Largest number that a filter may be given.
const MAX_ARGUMENT: u64 = 256;

/// Filters whose result may be much larger than what they are given.
const GROWING: [&str; 10] =
    ["batch", "format", "indent", "items", "join", "lines", "list", "replace", "slice", "split"];

/// The filters themselves, without a budget.
static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(Environment::new);

/// Bytes that a rendering may still read and make.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    left: Arc<AtomicUsize>,
    value: usize,
}

fn refused(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

impl Budget {
    /// For a template with these inputs.
    ///
    /// # Errors
    /// If they are too many already.
    pub(super) fn new<'a>(inputs: impl IntoIterator<Item = &'a Value>) -> Result<Self, Error> {
        let mut left = MOST_READ_BYTES;
        inputs.into_iter().try_for_each(|value| take(value, 0, &mut left))?;
        let size = MOST_READ_BYTES - left;
        let reads = (READ_BYTES + size.saturating_mul(READS_OF_INPUT)).min(MOST_READ_BYTES);
        Ok(Self { left: Arc::new(AtomicUsize::new(reads)), value: VALUE_BYTES + size })
    }

    /// Lets an environment's templates use it: those that [`reads::counted`] has rewritten.
    pub(super) fn install(&self, environment: &mut Environment<'_>) {
        let budget = self.clone();
        environment.add_function(reads::READ, move |value: Value, times: usize| {
            budget.count(&value, times).map(|()| value)
        });
        let budget = self.clone();
        environment.add_function(reads::TEXT, move |bytes: usize| budget.spend(bytes).map(|()| ""));
        let budget = self.clone();
        environment.add_function("range", move |args: Rest<Value>| budget.made(|| range(&args)));
        environment.add_function("debug", || -> Result<Value, Error> {
            Err(refused("debug is not for chats".into()))
        });
        for name in GROWING {
            let budget = self.clone();
            environment.add_filter(name, move |args: Rest<ValueOrKwargs>| {
                let args = args.into_values();
                budget.foresee(name, &args)?;
                budget.made(|| PLAIN.empty_state().apply_filter(name, &args))
            });
        }
        let budget = self.clone();
        environment.set_unknown_method_callback(move |state, value, method, args| {
            let all: Vec<Value> = std::iter::once(value).chain(args).cloned().collect();
            // Here the separator comes first.
            let swapped: Vec<Value> = all.iter().rev().cloned().collect();
            budget.foresee(method, if method == "join" { &swapped } else { &all })?;
            budget.made(|| unknown_method_callback(state, value, method, args))
        });
    }

    fn spend(&self, bytes: usize) -> Result<(), Error> {
        let left = self.left.load(Ordering::Relaxed);
        let Some(rest) = left.checked_sub(bytes) else {
            return Err(refused("its values take too many bytes".into()));
        };
        self.left.store(rest, Ordering::Relaxed);
        Ok(())
    }

    fn size(&self, value: &Value) -> Result<usize, Error> {
        let mut left = self.value;
        take(value, 0, &mut left)?;
        Ok(self.value - left)
    }

    fn count(&self, value: &Value, times: usize) -> Result<(), Error> {
        self.spend(self.size(value)?.saturating_mul(times))
    }

    fn made(&self, make: impl FnOnce() -> Result<Value, Error>) -> Result<Value, Error> {
        let value = make()?;
        self.count(&value, 1)?;
        Ok(value)
    }

    /// Refuses what would give too large a result, before there is one.
    fn foresee(&self, name: &str, args: &[Value]) -> Result<(), Error> {
        let number = |value: &&Value| value.as_usize().is_some_and(|n| n as u64 > MAX_ARGUMENT);
        let text = |at: usize| args.get(at).and_then(Value::as_str).unwrap_or_default();
        let size = |at: usize| args.get(at).map_or(Ok(0), |value| self.size(value));
        let times = match name {
            "batch" | "slice" | "indent" if named(args).iter().chain(args).any(|n| number(&n)) => {
                return Err(refused(format!("{name} by more than {MAX_ARGUMENT}")));
            }
            "indent" => return self.fits(text(0).lines().count(), MAX_ARGUMENT as usize),
            "join" => return self.fits(length(args.first()), size(1)?),
            "replace" if text(1).is_empty() => return self.fits(text(0).len() + 1, size(2)?),
            "replace" => return self.fits(text(0).matches(text(1)).count(), size(2)?),
            "format" if digits(text(0)) => return Err(refused("a format with a width".into())),
            "format" => text(0).matches(['{', '%']).count(),
            _ => return Ok(()),
        };
        let mut all = 0;
        for at in 1..args.len() {
            all += size(at)?;
        }
        self.fits(times, all)
    }

    fn fits(&self, count: usize, bytes: usize) -> Result<(), Error> {
        if count.saturating_mul(bytes) <= self.value {
            return Ok(());
        }
        Err(refused(format!("{count} times {bytes} bytes are more than {}", self.value)))
    }
}

/// The values of arguments with names.
fn named(args: &[Value]) -> Vec<Value> {
    let all = args.iter().filter(|value| value.is_kwargs());
    let values = all.filter_map(|all| {
        let names = all.try_iter().ok()?;
        Some(names.filter_map(|name| all.get_item(&name).ok()).collect::<Vec<_>>())
    });
    values.flatten().collect()
}

fn length(value: Option<&Value>) -> usize {
    value.and_then(Value::len).unwrap_or(0)
}

/// Whether a format asks for more than 99 places, or for as many as an argument says.
fn digits(format: &str) -> bool {
    let bytes = format.as_bytes();
    bytes.contains(&b'*') || bytes.windows(3).any(|three| three.iter().all(u8::is_ascii_digit))
}

/// The library's `range`, which is a function of its own there.
fn range(args: &[Value]) -> Result<Value, Error> {
    let number = |at: usize| {
        let number = args.get(at).map(|value| i64::try_from(value.clone()));
        number.transpose()
    };
    let (first, second, step) = (number(0)?, number(1)?, number(2)?);
    let (start, stop) = match (first, second) {
        (Some(start), Some(stop)) => (start, stop),
        (Some(stop), None) => (0, stop),
        _ => return Err(Error::from(ErrorKind::MissingArgument)),
    };
    let step = step.unwrap_or(1);
    if step == 0 || args.len() > 3 {
        return Err(refused("range needs up to three numbers, the last not 0".into()));
    }
    let distance = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    let count = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
    if count > 100_000 {
        return Err(refused(format!("a range of {count} numbers")));
    }
    Ok((0..count as i64).map(|at| Value::from(start + at * step)).collect())
}

/// Takes a value's bytes from what is left.
fn take(value: &Value, depth: usize, left: &mut usize) -> Result<(), Error> {
    let own = value.as_str().map_or_else(|| value.as_bytes().map_or(0, <[u8]>::len), str::len);
    let rest = left.checked_sub(NODE + own);
    *left = rest.ok_or_else(|| refused("a value takes too many bytes".into()))?;
    if depth > MAX_DEPTH {
        return Err(refused(format!("more than {MAX_DEPTH} values inside of each other")));
    }
    match value.kind() {
        ValueKind::Map => {
            for key in value.try_iter()? {
                take(&key, depth + 1, left)?;
                take(&value.get_item(&key)?, depth + 1, left)?;
            }
        }
        // Iterators without a length only point to what is elsewhere.
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            for item in value.try_iter()? {
                take(&item, depth + 1, left)?;
            }
        }
        _ => {}
    }
    Ok(())
}
