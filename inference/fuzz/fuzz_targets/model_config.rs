#![no_main]

libfuzzer_sys::fuzz_target!(init: inference_fuzz::start(), |data: &[u8]| {
    inference_fuzz::check(inference_fuzz::loaders::model_config, data)
});
