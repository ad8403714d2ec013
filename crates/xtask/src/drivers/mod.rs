//! `drivers`: every kernel through GPUs' compilers, without a GPU. Mesa's drivers run on stubbed
//! kernel drivers (mesa-drm-shim), which execute nothing: only what they compile is true.

mod aco;
mod budget;
mod compile;
mod kernels;
mod table;
mod validators;

use crate::sid;
use crate::step::{Result, step};
use budget::Scope;
use compile::{DEVICES, Device, Flags};
use kernels::Kernel;
use std::collections::BTreeMap;
use validators::Validator;

/// What the command line asks for.
#[derive(Debug, Default)]
struct Asked {
    /// Names of drivers, or parts of them; all if there is none.
    only: Vec<String>,
    /// Words that a kernel's line in the list must have.
    filter: String,
    assembly: bool,
    robust: bool,
    /// Leave out kernels that only tests have.
    plans: bool,
    update: bool,
}

impl Asked {
    fn parse(args: &[String]) -> Result<Self> {
        let mut asked = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || {
                args.next().cloned().ok_or_else(|| format!("drivers {arg} is followed by a value"))
            };
            match arg.as_str() {
                "--only" => asked.only = value()?.split(',').map(str::to_lowercase).collect(),
                "--kernel" => asked.filter = value()?,
                "--asm" => asked.assembly = true,
                "--robust" => asked.robust = true,
                "--plans" => asked.plans = true,
                "--update" => asked.update = true,
                other => return Err(format!("drivers has no {other:?}; see cargo xtask help")),
            }
        }
        let partial = asked.is_partial();
        match asked.update && partial {
            true => Err("--update writes what all drivers say of all kernels: leave out the \
                         other flags"
                .into()),
            false => Ok(asked),
        }
    }

    fn wants(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }

    fn scope(&self) -> Scope {
        match self.is_partial() {
            true => Scope::Part,
            false if self.plans => Scope::Plans,
            false => Scope::All,
        }
    }

    /// Not all of what the budgets are for.
    fn is_partial(&self) -> bool {
        !self.only.is_empty() || !self.filter.is_empty() || self.robust
    }
}

/// Compiles, prints, compares with the budgets.
pub fn check(args: &[String]) -> Result {
    let asked = Asked::parse(args)?;
    let sid = step("Mesa's drivers", sid::folder)?;
    step("link", || kernels::link(&sid))?;
    let all = kernels::read(&sid, &asked.filter)?;
    let of = |device: &Device| {
        let adapter = device.adapter();
        let planned = asked.plans || !device.cases;
        let wanted = |kernel: &&Kernel| kernel.is_for(adapter, planned);
        all.iter().filter(wanted).collect::<Vec<_>>()
    };
    let wanted = DEVICES.iter().filter(|device| asked.wants(device.name));
    let jobs: Vec<(Device, Vec<&Kernel>)> = wanted.map(|device| (*device, of(device))).collect();
    let flags = Flags { robust: asked.robust, assembly: asked.assembly };
    let (compiled, mesa) = step("compile", || compile::all(&sid, &jobs, flags))?;

    let mut failures = Vec::new();
    let mut tables = Vec::new();
    let mut refusals = BTreeMap::new();
    for ((device, kernels), compiled) in jobs.iter().zip(&compiled) {
        for (kernel, one) in kernels.iter().zip(compiled) {
            if let Err(why) = &one.figures {
                let place = kernel.uses.first().map_or("", |of| of.of.as_str());
                let (number, name) = (&kernel.number, &kernel.name);
                failures.push(format!("{}: {number} {name} ({place}): {why}", device.name));
            }
            if asked.assembly {
                println!("# {} {} {}\n{}", device.name, one.number, kernel.name, one.assembly);
            }
        }
        let rows = table::rows(device.adapter(), kernels, compiled);
        let text = table::columns(&table::markdown(device.driver, &rows, true));
        println!("{} ({mesa}), {} kernels\n{text}", device.name, kernels.len());
        tables.push((*device, rows));
    }
    for validator in Validator::ALL.iter().filter(|validator| asked.wants(validator.name())) {
        let for_it = |kernel: &&Kernel| kernel.is_for(validator.adapter(), asked.plans);
        let kernels: Vec<&Kernel> = all.iter().filter(for_it).collect();
        let refused = step(validator.name(), || validator.check(&sid, &kernels))?;
        println!(
            "{}: {} kernels, {} of them refused",
            validator.name(),
            kernels.len(),
            refused.len()
        );
        for (number, why) in refused {
            let why = why.replace('|', " ");
            let kernel = kernels.iter().find(|kernel| kernel.number == number);
            for key in kernel.iter().flat_map(|of| table::keys(validator.adapter(), of)) {
                let (name, line) =
                    budget::line(validator.name(), &key, "refused", &why, "accepted");
                refusals.insert(name, line);
            }
        }
    }
    let counted = failures.len();
    failures.iter().for_each(|failure| eprintln!("{failure}"));
    let budgets = budget::check(&tables, refusals, &mesa, asked.scope(), asked.update);
    match counted {
        0 => budgets,
        _ => Err(format!("{counted} kernels did not compile")),
    }
}
