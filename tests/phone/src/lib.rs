//! A SIP and RTP test phone: tones out, audio in and measured.
