"""Operations on uint8 clips and the values each paper gives them."""
