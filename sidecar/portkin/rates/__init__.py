"""Live probing rates: reports of Zeek's nodes become bins, closed bins become scores, scores become notices."""
