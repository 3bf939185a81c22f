//! The user reads: one item, or a part of a chunk, with each turn.

use ottla::consumer::Start;
use ottla::error::Error;
use ottla::error::Kind;
use ottla::internals::consumer::Next;
use ottla::internals::consumer::Returned;
use ottla::internals::consumer::Taken;
use ottla::types::TopicPartition;

use super::Reader;
use crate::sim::Context;
use crate::sim::ghost::Place;
use crate::sim::ghost::parse;
use crate::sim::peer::Peer;
use crate::sim::setting::Fault;

impl Reader {
    /// The user takes the next item, or continues to read a chunk.
    pub(in crate::sim) fn turn(&mut self, ctx: &mut Context, peer: &mut Peer) {
        self.turning = false;
        if self.is_silent(ctx) || self.is_out() {
            return;
        }
        if let Some((taken, revoked)) = self.take_held() {
            return self.read(ctx, taken, revoked);
        }
        if self.go_on_closing(ctx, peer) || !self.take_part(ctx) {
            return;
        }
        let Some(next) = self.core.next() else {
            // An item may have been dropped, because it was beyond the bound.
            return self.core.handle_capacity(ctx.instant());
        };
        self.is_ours(ctx, &next);
        match next {
            Next::Chunk(taken) => {
                let often = ctx.setting.has(Fault::Corrupt);
                if self.rng.u8(..3) == 0 || often && self.rng.bool() {
                    // The driver continues meanwhile.
                    if often && !ctx.healed && ctx.setting.has(Fault::Recreate) && self.rng.u8(..3) == 0 {
                        let place = ctx.place(&TopicPartition::new(taken.topic.clone(), taken.partition));
                        ctx.trace.count("recreated while being read");
                        ctx.recreate(place.0);
                    }
                    self.held = Some(taken);
                } else {
                    self.read(ctx, taken, false);
                }
            }
            Next::End(key, offset) => {
                ctx.trace.count("end reported");
                let place = ctx.place(&key);
                ctx.ghost.ended(self.number, place, offset);
            }
            Next::Error(error) => self.reported_error(ctx, &error),
            Next::Reset(reset) => {
                ctx.trace.count("reset reported");
                let place = ctx.place(&TopicPartition { topic: reset.topic.clone(), partition: reset.partition });
                ctx.trace.say(ctx.now, || format!("consumer {} was moved: {reset:?}", self.number));
                ctx.ghost.reset(self.number, place, reset.from, reset.to);
            }
        }
        self.core.handle_capacity(ctx.instant());
    }

    fn reported_error(&mut self, ctx: &mut Context, error: &Error) {
        ctx.trace.count("error reported");
        ctx.trace.say(ctx.now, || format!("consumer {} says: {error}", self.number));
        if error.kind() == Kind::Truncated {
            // Only a seek helps. The error names the partition in its text only.
            for place in ctx.places().collect::<Vec<_>>() {
                self.seek_to(ctx, place, &Start::Earliest);
            }
        }
    }

    /// Reads some batches of a chunk, or all. Nothing is returned of a partition that was revoked since.
    fn read(&mut self, ctx: &mut Context, mut taken: Taken, revoked: bool) {
        let place = ctx.place(&TopicPartition { topic: taken.topic.clone(), partition: taken.partition });
        let mut left = self.rng.usize(1..6);
        let mut read = Vec::new();
        while left > 0 {
            left -= 1;
            match taken.chunk.read(&ctx.codecs, 1 << 20, Vec::new) {
                Ok(None) => break,
                Ok(Some(visible)) => {
                    let counts = |offset: i64| offset >= visible.from && offset < visible.until;
                    let records = visible.decoded.iter().filter(|record| counts(record.offset));
                    read.extend(records.map(|record| (record.offset, record.value.and_then(parse))));
                }
                Err(unreadable) => {
                    let after = unreadable.offset + 1;
                    let error = self.core.unreadable(ctx.instant(), taken, unreadable);
                    if revoked && error.is_some() {
                        ctx.ghost.fail(|| format!("an error of {place:?}, which was revoked: {error:?}"));
                    }
                    return self.unreadable(ctx, place, &read, error.map(|error| (error, after)));
                }
            }
        }
        match self.core.give_back(taken) {
            Returned::Delivered { .. } if revoked => {
                ctx.ghost.fail(|| format!("records {read:?} of {place:?} were returned, which was revoked"));
            }
            Returned::Delivered { end } => {
                self.returned(ctx, place, &read);
                if let Some((key, offset)) = end {
                    let place = ctx.place(&key);
                    ctx.trace.count("end reported");
                    ctx.ghost.ended(self.number, place, offset);
                }
            }
            Returned::Overtaken => ctx.trace.count("overtaken while being read"),
        }
        self.core.handle_capacity(ctx.instant());
    }

    fn returned(&self, ctx: &mut Context, place: Place, read: &[(i64, Option<u64>)]) {
        for (offset, value) in read.iter().copied() {
            let (now, number) = (ctx.now, self.number);
            ctx.trace.say(now, || format!("consumer {number} reads {value:?} at {place:?}@{offset}"));
            ctx.trace.mix(&[offset.unsigned_abs(), value.unwrap_or(u64::MAX)]);
            ctx.ghost.returned(number, place, offset, value);
        }
    }

    /// A batch cannot be read. The records before it are returned, unless the partition has moved on.
    fn unreadable(
        &mut self,
        ctx: &mut Context,
        place: Place,
        read: &[(i64, Option<u64>)],
        error: Option<(Error, i64)>,
    ) {
        if !ctx.setting.has(Fault::Corrupt) {
            return ctx.ghost.fail(|| format!("a batch that cannot be read: {error:?}"));
        }
        ctx.trace.count("unreadable");
        match error {
            Some((error, after)) => {
                self.returned(ctx, place, read);
                self.reported_error(ctx, &error);
                if self.rng.u8(..4) == 0 && !ctx.healed {
                    self.seek_to(ctx, place, &Start::Offset(after));
                }
            }
            None => ctx.trace.count("unreadable and overtaken"),
        }
        self.core.handle_capacity(ctx.instant());
    }
}
