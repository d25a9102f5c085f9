//! A-law companding (ITU-T G.711), the only codec that the phone speaks.

/// The A-law octet of a 16-bit linear sample.
pub(crate) const fn encode(linear: i16) -> u8 {
    let (magnitude, mask) = if linear >= 0 { (linear >> 3, 0xd5) } else { (!(linear >> 3), 0x55) };
    let mut segment = 0;
    while segment < 8 && magnitude > (0x20 << segment) - 1 {
        segment += 1;
    }
    if segment == 8 {
        return 0x7f ^ mask;
    }
    let shift = if segment < 2 { 1 } else { segment };
    (((segment as u8) << 4) | ((magnitude >> shift) & 0x0f) as u8) ^ mask
}

/// The 16-bit linear sample of an A-law octet.
pub(crate) fn decode(octet: u8) -> i16 {
    DECODED[octet as usize]
}

/// A-law silence as Asterisk sends it: the smallest positive value.
pub(crate) const SILENCE: u8 = 0xd5;

static DECODED: [i16; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = expand(octet as u8);
        octet += 1;
    }
    table
};

const fn expand(octet: u8) -> i16 {
    let bits = octet ^ 0x55;
    let mantissa = ((bits & 0x0f) as i16) << 4;
    let magnitude = match (bits >> 4) & 7 {
        0 => mantissa + 8,
        segment => (mantissa + 0x108) << (segment - 1),
    };
    if bits & 0x80 != 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_survives_a_round_trip() {
        for octet in 0..=255 {
            assert_eq!(encode(decode(octet)), octet);
        }
    }

    #[test]
    fn values_of_the_standard() {
        // G.711 table 1a: the ends of the scale and the first steps, in 16-bit units (13 bits shifted by 3)
        assert_eq!((encode(0), encode(-1), encode(i16::MAX), encode(i16::MIN)), (0xd5, 0x55, 0xaa, 0x2a));
        assert_eq!((decode(0xd5), decode(0x55), decode(0xaa), decode(0x2a)), (8, -8, 32256, -32256));
    }

    #[test]
    fn the_error_stays_within_half_a_step() {
        for linear in i16::MIN..=i16::MAX {
            let error = (i32::from(decode(encode(linear))) - i32::from(linear)).abs();
            assert!(error <= (i32::from(linear).abs() / 32).max(8) + 8, "{linear}: {error}");
        }
    }
}
