"""Sentences to vectors: padding is not read, and a small encoder learns a teacher's space."""

import torch

from seqkit.audio.captioning.sentences import SentenceConfig, SentenceEncoder, distillation_loss


def tiny(size: int = 12, width: int = 4) -> SentenceEncoder:
    torch.manual_seed(0)
    return SentenceEncoder(SentenceConfig(vocab_size=size, d_model=16, heads=2, layers=1, width=width))


@torch.no_grad()
def test_padding_and_company_change_nothing() -> None:
    encoder = tiny().eval()
    alone = encoder(torch.tensor([[4, 5, 6]]))
    padded = encoder(torch.tensor([[4, 5, 6, 0, 0], [7, 8, 9, 10, 11]]))
    torch.testing.assert_close(padded[:1], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_vectors_are_of_unit_length_even_for_nothing() -> None:
    vectors = tiny().eval()(torch.tensor([[4, 5], [0, 0]]))
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2))


def test_a_small_encoder_learns_the_space_of_its_teacher() -> None:
    encoder = tiny()
    ids = torch.randint(3, 12, (24, 5), generator=torch.Generator().manual_seed(1))
    table = torch.nn.functional.normalize(
        torch.randn(12, 4, generator=torch.Generator().manual_seed(2)), dim=-1
    )
    teacher = torch.nn.functional.normalize(table[ids].mean(dim=1), dim=-1)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-2)
    before = distillation_loss(encoder(ids), teacher).item()
    for _ in range(60):
        optimizer.zero_grad()
        distillation_loss(encoder(ids), teacher).backward()
        optimizer.step()
    encoder.eval()
    with torch.no_grad():
        cosine = (encoder(ids) * teacher).sum(dim=-1).mean().item()
    assert cosine > 0.9 and before > 0.3
