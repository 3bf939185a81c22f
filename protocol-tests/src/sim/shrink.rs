//! Makes a failing setting smaller: fewer faults, oddities, clients and records, as long as it fails.

use super::Fault;
use super::Odd;
use super::Setting;
use super::run;

/// The smallest setting found that fails, and how it does.
pub fn shrink(setting: &Setting) -> Option<(Setting, super::Broken)> {
    let mut best = (setting.clone(), run(setting, false).err()?);
    loop {
        let smaller = candidates(&best.0).into_iter().find_map(|smaller| {
            let broken = run(&smaller, false).err()?;
            Some((smaller, broken))
        });
        match smaller {
            Some(smaller) => best = smaller,
            None => return Some(best),
        }
    }
}

fn candidates(setting: &Setting) -> Vec<Setting> {
    let mut all = Vec::new();
    let with = |change: &dyn Fn(&mut Setting)| {
        let mut smaller = setting.clone();
        change(&mut smaller);
        smaller
    };
    all.push(with(&|smaller| smaller.readers = 0));
    all.push(setting.without_group());
    all.push(setting.without_logins());
    all.push(with(&|smaller| smaller.session_ms = 0));
    if setting.logins > 1 {
        all.push(with(&|smaller| smaller.logins = 1));
    }
    if setting.members > 1 {
        all.push(with(&|smaller| smaller.members -= 1));
    }
    all.push(with(&|smaller| smaller.records /= 2));
    if setting.writers > 1 {
        all.push(with(&|smaller| smaller.writers -= 1));
    }
    if setting.readers > 1 {
        all.push(with(&|smaller| smaller.readers -= 1));
    }
    all.extend(setting.faults().map(|fault: Fault| setting.clone().without(fault)));
    all.extend(setting.odds().map(|odd: Odd| setting.clone().without_odd(odd)));
    if setting.records > 1 {
        all.push(with(&|smaller| smaller.records -= 1));
    }
    all.retain(|smaller| smaller != setting);
    all
}
