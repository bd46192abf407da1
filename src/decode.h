/*
 * decode.h
 *		Rows of COPY ... (FORMAT binary) to Datums, however the stream is cut
 *		into messages.
 */
#ifndef WH_DECODE_H
#define WH_DECODE_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"

typedef struct WhDecoder WhDecoder;

/*
 * Make a decoder in CurrentMemoryContext.  "subject" begins the DETAIL of its
 * errors, which name row and column and never show a value.  Caps are in
 * bytes.
 */
extern WhDecoder *wh_decoder(TupleDesc columns, const char *subject,
							 int64 max_field_bytes, int64 max_row_bytes);

/*
 * The type that a column of this type is cast to at the source: the type
 * itself where its binary form is the same everywhere, else text.
 */
extern const char *wh_decode_cast(Oid typid);

/*
 * Hand over the next piece of the stream: "data" stays the caller's, has room
 * for a NUL at data[len], and must live, to be scribbled on, until
 * wh_decoder_next() has said false.
 */
extern void wh_decoder_feed(WhDecoder *decoder, char *data, int len);

/*
 * Decode the next row into CurrentMemoryContext; false when no whole row is
 * left.  The session's client encoding must be the database's.
 */
extern bool wh_decoder_next(WhDecoder *decoder, Datum *values, bool *isnull);

/*
 * Step over the next row if each of its fields is what the slot, deformed and
 * of the decoder's columns, has stored; else take nothing and return false.  A
 * row that is stored is not made a second time to find that out.
 */
extern bool wh_decoder_skip(WhDecoder *decoder, TupleTableSlot *stored);

/* Has the stream's own end mark been seen, with nothing after it? */
extern bool wh_decoder_at_end(const WhDecoder *decoder);

#endif							/* WH_DECODE_H */
