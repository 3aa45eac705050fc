#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| outcrop::fuzzing::links(data));
