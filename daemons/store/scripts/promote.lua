-- Moves retries that are due back to their queues. arg: limit -> {promoted}

return reply({ promoted = promote_due(arg.limit) })
