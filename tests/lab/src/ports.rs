//! Free loopback ports for one lab, in one block.
//!
//! Blocks lie below the range that Linux hands out for port 0, so nobody is given one of their ports by chance, and the
//! first TCP port of a block is held open for as long as the block is used: other labs see it and take another block.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::process;

use crate::error::LabError;

/// Blocks are looked for in this range.
const RANGE: RangeInclusive<u16> = 10_000..=32_000;
/// Before the RTP ports of a block.
const HEAD: u16 = 8;
/// Each leg takes an RTP and an RTCP port; a call with a Local pair or a transfer has up to four legs at once.
const PORTS_PER_CALL: u16 = 8;

/// A block of ports, reserved while this lives.
#[derive(Debug)]
pub(crate) struct Ports {
    /// Holds the block.
    _reservation: TcpListener,
    first: u16,
    rtp: u16,
}

impl Ports {
    /// Finds a block for that many concurrent calls of which every port is free now.
    pub(crate) fn reserve(calls: u16) -> Result<Self, LabError> {
        let rtp = calls.max(1).saturating_mul(PORTS_PER_CALL).min(8_000);
        let size = HEAD + rtp;
        let blocks = (RANGE.end() - RANGE.start()) / size;
        // Processes begin at different blocks, so that they seldom meet.
        let start = (process::id() % u32::from(blocks)) as u16;
        (0..blocks)
            .map(|n| RANGE.start() + (start + n) % blocks * size)
            .find_map(|first| Self::take(first, rtp))
            .ok_or_else(|| LabError::Io {
                what: format!("looking for {size} free ports in {RANGE:?}"),
                source: std::io::ErrorKind::AddrInUse.into(),
            })
    }

    fn take(first: u16, rtp: u16) -> Option<Self> {
        let reservation = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
        let ports = Self { _reservation: reservation, first, rtp };
        let tcp = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let udp = |port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
        let free = tcp(ports.http()) && tcp(ports.ami()) && udp(ports.sip()) && ports.rtp().all(udp);
        free.then_some(ports)
    }

    pub(crate) fn http(&self) -> u16 {
        self.first + 1
    }

    pub(crate) fn ami(&self) -> u16 {
        self.first + 2
    }

    pub(crate) fn sip(&self) -> u16 {
        self.first + 3
    }

    pub(crate) fn rtp(&self) -> RangeInclusive<u16> {
        self.first + HEAD..=self.first + HEAD + self.rtp - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_labs_never_share_a_port() {
        let one = Ports::reserve(20).unwrap();
        let two = Ports::reserve(20).unwrap();
        let all = |ports: &Ports| ports.first..=*ports.rtp().end();
        assert!(all(&one).all(|port| !all(&two).contains(&port)), "{one:?} {two:?}");
        assert_eq!(one.rtp().count(), 160);
    }

    #[test]
    fn a_block_with_a_port_in_use_is_passed_over() {
        let first = Ports::reserve(1).unwrap().first;
        let _used = UdpSocket::bind((Ipv4Addr::LOCALHOST, first + 3)).unwrap();
        assert!(Ports::take(first, 8).is_none());
    }
}
