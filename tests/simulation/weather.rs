//! What goes wrong around the calls: the disk, the PBX's manners, the link, and the sidecar itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;
use temoin_core::session::Rules;
use tokio::time::sleep;

use crate::chance::Chance;
use crate::plant::{Ground, Sidecar};

/// What may go wrong in a world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub disk: bool,
    pub moods: bool,
    pub link: bool,
    pub deaths: bool,
    pub reloads: bool,
    pub foreign: bool,
    /// Somebody sets the clock.
    pub clock: bool,
}

impl Weather {
    /// Of some worlds nothing, of most several things.
    pub fn of(chance: &mut Chance) -> Self {
        if chance.is(15) {
            return Self::default();
        }
        Self {
            disk: chance.is(50),
            moods: chance.is(50),
            link: chance.is(50),
            deaths: chance.is(50),
            reloads: chance.is(30),
            foreign: chance.is(30),
            clock: chance.is(20),
        }
    }

    fn kinds(&self) -> Vec<Fault> {
        let kinds = [
            (self.disk, Fault::StoreAway),
            (self.disk, Fault::DiskSlow),
            (self.disk, Fault::VaultAway),
            (self.moods, Fault::Deaf),
            (self.moods, Fault::Refuses),
            (self.moods, Fault::Slow),
            (self.moods, Fault::Blind),
            (self.link, Fault::Cut),
            (self.link, Fault::Cut),
            (self.deaths, Fault::Death),
            (self.deaths, Fault::Death),
            (self.deaths && self.disk, Fault::DeathWithoutDisk),
            (self.reloads, Fault::Reload),
            (self.clock, Fault::ClockSet),
        ];
        kinds.into_iter().filter(|(may, _)| *may).map(|(_, fault)| fault).collect()
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    StoreAway,
    DiskSlow,
    VaultAway,
    Deaf,
    Refuses,
    Slow,
    Blind,
    Cut,
    Death,
    DeathWithoutDisk,
    Reload,
    ClockSet,
}

/// So long after a fault nobody demands anything: what failed is tried again within it.
const AFTER: i64 = 1500;

/// Goes on until it is told to stop; then everything is well again. Gives the sidecar back.
pub async fn rages(
    ground: &Ground,
    mut sidecar: Sidecar,
    weather: Weather,
    mut chance: Chance,
    rules: [Arc<Rules>; 2],
    over: impl Fn() -> bool,
) -> Sidecar {
    let kinds = weather.kinds();
    while !over() {
        sleep(Duration::from_millis(chance.range(500, 6000))).await;
        if over() || kinds.is_empty() {
            continue;
        }
        sidecar = strike(ground, sidecar, chance.pick(&kinds), &mut chance, &rules).await;
    }
    sidecar
}

async fn strike(
    ground: &Ground,
    sidecar: Sidecar,
    fault: Fault,
    chance: &mut Chance,
    rules: &[Arc<Rules>; 2],
) -> Sidecar {
    let Ground { clock, disk, pbx, .. } = ground;
    let from = clock.ms();
    tracing::info!(?fault, at = from, "weather");
    let lasts = chance.range(50, 2500);
    let until = from + lasts as i64;
    match fault {
        Fault::StoreAway => {
            disk.store.away(true);
            sleep(Duration::from_millis(lasts)).await;
            disk.store.away(false);
        }
        Fault::DiskSlow => {
            disk.slow.store(chance.range(1, 60), Ordering::SeqCst);
            sleep(Duration::from_millis(lasts)).await;
            disk.slow.store(0, Ordering::SeqCst);
        }
        Fault::VaultAway => {
            disk.vault.away(true);
            sleep(Duration::from_millis(lasts)).await;
            disk.vault.away(false);
            return sidecar;
        }
        Fault::Deaf => pbx.moods(|moods| moods.deaf = until),
        Fault::Refuses => pbx.moods(|moods| moods.refuses = until),
        Fault::Slow => pbx.moods(|moods| moods.slow = until),
        Fault::Blind => pbx.moods(|moods| moods.blind = until),
        Fault::Cut => {
            pbx.cut();
            sleep(Duration::from_millis(chance.range(0, 1500))).await;
            pbx.notice();
            sleep(Duration::from_millis(lasts)).await;
            pbx.mend();
        }
        Fault::Death => {
            // In the middle of something.
            for _ in 0..chance.range(0, 20) {
                tokio::task::yield_now().await;
            }
            return dies(ground, sidecar, clock.ms() - 300, lasts).await;
        }
        Fault::DeathWithoutDisk => {
            disk.store.away(true);
            sleep(Duration::from_millis(lasts)).await;
            let sidecar = dies(ground, sidecar, from - 300, lasts).await;
            sleep(Duration::from_millis(chance.range(0, 1000))).await;
            disk.store.away(false);
            pbx.trouble(from - 500, clock.ms() + AFTER);
            return sidecar;
        }
        Fault::ClockSet => {
            let by = SignedDuration::from_millis(lasts as i64);
            clock.step(if chance.is(50) { by } else { -by });
            // What waits for an instant waits longer, even for that of the dead-man timer.
            pbx.trouble(from - 6000, from + 6000 + lasts as i64);
            return sidecar;
        }
        Fault::Reload => {
            let _ = ground.rules.send(Arc::clone(&rules[chance.range(0, 2) as usize]));
            pbx.reloaded();
            return sidecar;
        }
    }
    pbx.trouble(from - 500, clock.ms().max(until) + AFTER);
    sidecar
}

async fn dies(ground: &Ground, sidecar: Sidecar, durable: i64, down: u64) -> Sidecar {
    let from = ground.clock.ms();
    sidecar.kill(ground, durable);
    sleep(Duration::from_millis(down)).await;
    let sidecar = Sidecar::start(ground);
    ground.pbx.trouble(from - 500, ground.clock.ms() + AFTER);
    sidecar
}
